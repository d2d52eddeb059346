"""Results as data: frames, plots, agreement, claims and audits of finished runs."""
