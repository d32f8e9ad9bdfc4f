"""The core nodes of ComfyUI that the example uses."""

from __future__ import annotations

# the core nodes of the example as ComfyUI 0.3 declares them: inputs that can be connected, outputs
CORE: dict[str, tuple[dict[str, str], list[str]]] = {
    "LoadImage": ({}, ["IMAGE", "MASK"]),
    "PreviewAny": ({"source": "*"}, []),
    "PreviewImage": ({"images": "IMAGE"}, []),
    "SaveImage": ({"images": "IMAGE"}, []),
    "CheckpointLoaderSimple": ({}, ["MODEL", "CLIP", "VAE"]),
    "CLIPTextEncode": ({"clip": "CLIP", "text": "STRING"}, ["CONDITIONING"]),
    "EmptyLatentImage": ({}, ["LATENT"]),
    "KSampler": (
        {
            "model": "MODEL",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
        },
        ["LATENT"],
    ),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"]),
}
