"""fusion_magic as a peer of the shared benchmark; `against_peers.py` puts it into the empty slot there."""

from fusion_magic import PanelFailed, fuse_async

from ._ref import result

NAME, DISTS, STREAMS = "fusion_magic", ["fusion-magic", "httpx"], True
DIFFERS = "own prompts; streams always; retries; keeps the panel when a later stage fails"


def build(cfg):
    at = "@" + cfg.base

    async def fuse(prompt):
        try:
            models, judge, writer = [model + at for model in cfg.panel], cfg.judge + at, cfg.synth + at
            patience = {"first_token_timeout": cfg.timeout, "gap_timeout": cfg.timeout}
            r = await fuse_async(prompt, models=models, judge=judge, synthesizer=writer, reuse="never", **patience)
        except PanelFailed as exc:
            r = exc.result
        answers = {response.model.removesuffix(at): response.content for response in r.responses}
        errors = {lost.model.removesuffix(at): lost.error for lost in r.failed_models}
        return result(r.answer, answers, errors, r.analysis.model_dump() if r.analysis else None)

    return fuse
