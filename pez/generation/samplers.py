"""Samplers by the names of A1111's web UI, of ComfyUI and of diffusers' classes.

What each name means in diffusers is its own table ("Schedulers", API overview), except DPM++ SDE:
that is a single-step solver with noise, and so is the class taken here.
"""

from __future__ import annotations

import re
from typing import Any

from pez.errors import PezError

_MULTI, _SINGLE = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
# name -> class of diffusers and its settings
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm++": (_MULTI, {"algorithm_type": "dpmsolver++"}),
    "dpm++_2m_sde": (_MULTI, {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++_3m_sde": (_MULTI, {"algorithm_type": "sde-dpmsolver++", "solver_order": 3}),
    "dpm++_single": (_SINGLE, {"algorithm_type": "dpmsolver++"}),
    "dpm++_sde_single": (_SINGLE, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {"algorithm_type": "deis"}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
    "sa_solver": ("SASolverScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "flow_heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "flow_lcm": ("FlowMatchLCMScheduler", {}),
}
# how steps are spaced -> settings
SCHEDULES: dict[str, dict[str, Any]] = {
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
    "sgm_uniform": {"timestep_spacing": "trailing"},
    "simple": {"timestep_spacing": "trailing"},
    "ddim_uniform": {"timestep_spacing": "leading"},
}
# what diffusers cannot space steps by
_UNSPACED = ("kl_optimal", "align_your_steps", "linear_quadratic", "polyexponential", "turbo")
_PLAIN = ("automatic", "normal", "uniform", "discrete")  # schedules that change nothing
# names without blanks and the like -> ours
_OTHERS = {
    "eulerancestral": "euler_a",
    "dpm2ancestral": "dpm2_a",
    "dpm++2m": "dpm++",
    "dpm++sde": "dpm++_sde_single",
    "dpm++2s": "dpm++_single",
    "dpmsolver++": "dpm++",
    "dpmsolvermultistep": "dpm++",
    "unipcbh2": "unipc",
}
# what diffusers does not have -> the nearest that it has
_NEAREST = {
    "dpm++2sa": "dpm++_single",
    "dpm++2sancestral": "dpm++_single",
    "dpm++2msdeheun": "dpm++_2m_sde",
    "dpmfast": "dpm++",
    "dpmadaptive": "dpm++",
    "heunpp2": "heun",
    "ipndm": "deis",  # diffusers' own knows no noise schedule but its own
    "ipndmv": "deis",
    "restart": "heun",
    "expheun2x0": "heun",
    "expheun2x0sde": "dpm++_sde_single",
    "resmultistep": "dpm++",
    "resmultistepancestral": "dpm++_2m_sde",
    "gradientestimation": "euler",
    "ersde": "dpm++_2m_sde",
    "seeds2": "dpm++_sde_single",
    "seeds3": "dpm++_3m_sde",
    "sasolverpece": "sa_solver",
}
_SHOWN = {
    **{"ddim": "DDIM", "ddpm": "DDPM", "pndm": "PNDM", "plms": "PLMS", "lms": "LMS"},
    **{"euler": "Euler", "euler_a": "Euler a", "heun": "Heun", "dpm2": "DPM2", "dpm2_a": "DPM2 a"},
    **{"dpm++": "DPM++ 2M", "dpm++_2m_sde": "DPM++ 2M SDE", "dpm++_3m_sde": "DPM++ 3M SDE"},
    **{"dpm++_sde_single": "DPM++ SDE", "unipc": "UniPC", "lcm": "LCM", "deis": "DEIS"},
}


def sampler_name(name: str) -> str:
    """The one name of a sampler, its schedule behind it: "DPM++ 2M Karras" is ``dpm++_karras``.

    A class of diffusers that is none of ours keeps its name. PezError for an unknown one.
    """
    if not name.strip():
        return ""
    if name.endswith("Scheduler") and name[:1].isupper():
        own = [ours for ours, (kind, _) in SCHEDULERS.items() if kind == name]
        return own[0] if own else name
    key = re.sub(r"[\s_-]+", "_", name.strip().lower())
    key = re.sub(r"dpm_?pp|dpm_?plus_?plus", "dpm++", key).removeprefix("k_")
    schedule = ""
    for one in (*SCHEDULES, *_PLAIN, *_UNSPACED):
        if key.endswith(f"_{one}"):
            key, schedule = key.removesuffix(f"_{one}"), one
            break
    if schedule in _UNSPACED:
        known = ", ".join(SCHEDULES)
        raise PezError(f"diffusers has no schedule {schedule!r} of {name!r}; there are {known}.")
    short = key.removesuffix("_gpu").replace("_", "")
    by_short = {ours.replace("_", ""): ours for ours in SCHEDULERS} | _OTHERS
    # guidance of another kind, CFG++, which diffusers has none of
    bare = short.removesuffix("cfg++").removesuffix("cfgpp")
    near = _NEAREST.get(bare) or (by_short.get(bare) if bare != short else None)
    if near:
        raise PezError(f"diffusers has no sampler {name!r}; the nearest is {near}.")
    if short not in by_short:
        raise PezError(f"unknown scheduler {name!r}; there are {', '.join(SCHEDULERS)}.")
    return by_short[short] + (f"_{schedule}" if schedule in SCHEDULES else "")


def parts_of(name: str) -> tuple[str, str]:
    """A name of :func:`sampler_name` as sampler and schedule, "" for none."""
    for schedule in SCHEDULES:
        if name.endswith(f"_{schedule}"):
            return name.removesuffix(f"_{schedule}"), schedule
    return name, ""


def shown_name(name: str) -> tuple[str, str]:
    """Sampler and schedule as A1111's web UI writes them."""
    sampler, schedule = parts_of(name)
    return _SHOWN.get(sampler, sampler), schedule.replace("_", " ").capitalize()
