"""Attention as two matrix products and a softmax: for short sequences in bfloat16 on a CPU, training is several times faster than with
PyTorch's fused kernel, whose backward pass there is slow."""

from diffusers.models.attention_processor import Attention
from torch import Tensor


class PlainAttention:
    """softmax(Q K^T / sqrt(d)) V; an attention processor for the embedded model's UNet, which needs no masks."""

    def __call__(self, attention: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: None) -> Tensor:
        """hidden_states (B, N, C), encoder_hidden_states (B, M, D) or None for self-attention; the result is (B, N, C)."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            layer(states).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for layer, states in ((attention.to_q, hidden_states), (attention.to_k, source), (attention.to_v, source))
        )
        weights = (query * attention.scale @ key.transpose(-1, -2)).softmax(-1)
        attended = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return attention.to_out[0](attended)
