"""fusion_magic as a peer of the shared benchmark; `against_peers.py` puts it into the empty slot there."""
from fusion_magic import PanelFailed, fuse_async

from ._ref import result

NAME, DISTS, STREAMS = "fusion_magic", ["fusion-magic", "httpx"], True
DIFFERS = "own prompts; streams always; retries; keeps the panel when a later stage fails"


def build(cfg):
    at = "@" + cfg.base

    async def fuse(prompt):
        try:
            r = await fuse_async(prompt, models=[m + at for m in cfg.panel], judge=cfg.judge + at, synthesizer=cfg.synth + at,
                                 first_token_timeout=cfg.timeout, gap_timeout=cfg.timeout)
        except PanelFailed as exc:
            r = exc.result
        return result(r.answer, {x.model.removesuffix(at): x.content for x in r.responses},
                      {x.model.removesuffix(at): x.error for x in r.failed_models},
                      r.analysis.model_dump() if r.analysis else None)
    return fuse
