"""The notebook face: magics, what a cell shows while it runs and what it keeps."""
