"""Real architectures with random weights, small enough to draw at once."""

import json
from pathlib import Path
from typing import Any

import diffusers as typed_diffusers
import torch
import transformers as typed_transformers
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from pez.files import data_folder
from pez.generation.options import GenerateOptions

# their types know neither tuples of other lengths than the default's nor every scheduler
diffusers: Any = typed_diffusers
transformers: Any = typed_transformers
MINI = data_folder() / "generators" / "mini-sd"
TEXT = "a red boot"


def options(**more: object) -> GenerateOptions:
    """Two steps of mini-sd, or what ``more`` says."""
    plain = {"generator": "mini-sd", "device": "cpu", "steps": 2, "guidance": 4.0}
    return GenerateOptions(**(plain | more))  # type: ignore[arg-type]


def _tokenizer() -> Any:
    return transformers.CLIPTokenizer.from_pretrained(MINI / "tokenizer")


def _encoder(kind: Any, seed: int) -> Any:
    torch.manual_seed(seed)
    words = _tokenizer()
    return kind(
        transformers.CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=32,
            intermediate_size=37,
            projection_dim=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=32,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def _vae(**more: Any) -> Any:
    torch.manual_seed(2)
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        **more,
    )


def save_sdxl(folder: Path) -> str:
    """A tiny SDXL pipeline: two text encoders, pooled embeddings, 16 pixels."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    )
    pipeline = diffusers.StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_encoder(CLIPTextModel, 3),
        text_encoder_2=_encoder(CLIPTextModelWithProjection, 4),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return str(folder)


def save_sd3(folder: Path) -> str:
    """A tiny SD 3 pipeline without its T5: a transformer and flow matching."""
    torch.manual_seed(0)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=64,
        pooled_projection_dim=64,
        out_channels=4,
    )
    pipeline = diffusers.StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_encoder(CLIPTextModelWithProjection, 3),
        tokenizer=_tokenizer(),
        text_encoder_2=_encoder(CLIPTextModelWithProjection, 4),
        tokenizer_2=_tokenizer(),
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pipeline.save_pretrained(folder)
    return str(folder)


def save_sd(folder: Path) -> str:
    """A tiny SD 1 pipeline: AutoencoderKL, a U-Net that predicts noise, PNDM, 16 pixels."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=_vae(scaling_factor=0.5),
        text_encoder=_encoder(CLIPTextModel, 3),
        tokenizer=_tokenizer(),
        unet=unet,
        scheduler=diffusers.PNDMScheduler(beta_start=0.00085, beta_end=0.012, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return str(folder)


def save_sd21(folder: Path) -> str:
    """A tiny SD 2.1 with what is odd in the published one: it predicts v, and its text encoder
    says that the end token is 2, as configurations of that time did.
    """
    save_sd(folder)
    for part, odd in (
        (
            "scheduler/scheduler_config.json",
            {"prediction_type": "v_prediction", "skip_prk_steps": True},
        ),
        ("text_encoder/config.json", {"eos_token_id": 2, "bos_token_id": 0, "hidden_act": "gelu"}),
    ):
        path = folder / part
        path.write_text(json.dumps(json.loads(path.read_text()) | odd))
    return str(folder)


def save_flux(folder: Path, text_pieces: int, t5: Path) -> str:
    """A tiny FLUX: CLIP's pooled feature and T5's features before a transformer. The tokenizer
    of its T5, of ``text_pieces`` ids, lies in ``t5``.
    """
    torch.manual_seed(0)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    sizes: dict[str, Any] = {"d_model": 32, "d_ff": 37, "d_kv": 8, "num_layers": 2, "num_heads": 4}
    tower = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=text_pieces, pad_token_id=1, **sizes)
    )
    pipeline = diffusers.FluxPipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_encoder(CLIPTextModel, 3),
        tokenizer=_tokenizer(),
        text_encoder_2=tower,
        tokenizer_2=transformers.PreTrainedTokenizerFast.from_pretrained(t5),
    )
    pipeline.save_pretrained(folder)
    return str(folder)
