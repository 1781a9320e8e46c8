"""A genuine inference server on loopback: llama.cpp's, as xllamacpp carries it.

No weights can be downloaded where the tests run, so the model is made here: a llama of two small layers with random
weights and a vocabulary of single bytes. What it says makes no sense; how it is served is the real thing.

Prints `listening on URL` and serves until its standard input ends.
"""

import sys
import tempfile
from pathlib import Path

import gguf
import numpy
import xllamacpp

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 64, 2, 4, 128, 1024
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def make_model(path: Path) -> None:
    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    model = gguf.GGUFWriter(str(path), "llama")
    model.add_name("tiny-random")
    model.add_context_length(CONTEXT)
    model.add_embedding_length(WIDTH)
    model.add_block_count(LAYERS)
    model.add_feed_forward_length(INNER)
    model.add_head_count(HEADS)
    model.add_head_count_kv(HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_vocab_size(len(tokens))
    model.add_tokenizer_model("llama")
    model.add_token_list(tokens)
    model.add_token_scores([0.0] * len(tokens))
    model.add_token_types(kinds)
    model.add_unk_token_id(0)
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)
    model.add_chat_template(TEMPLATE)

    chance = numpy.random.default_rng(7)

    def matrix(name: str, *shape: int) -> None:
        model.add_tensor(name, chance.normal(0, 0.05, shape).astype(numpy.float32))

    def ones(name: str) -> None:
        model.add_tensor(name, numpy.ones(WIDTH, dtype=numpy.float32))

    matrix("token_embd.weight", len(tokens), WIDTH)
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        ones(prefix + "attn_norm.weight")
        ones(prefix + "ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{prefix}{part}.weight", WIDTH, WIDTH)
        matrix(prefix + "ffn_gate.weight", INNER, WIDTH)
        matrix(prefix + "ffn_up.weight", INNER, WIDTH)
        matrix(prefix + "ffn_down.weight", WIDTH, INNER)
    ones("output_norm.weight")
    matrix("output.weight", len(tokens), WIDTH)
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.gguf"
        make_model(path)
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.warmup = False
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.cpuparams.n_threads = 1
        server = xllamacpp.Server(params)
        print(f"listening on {server.listening_address}", flush=True)
        sys.stdin.read()


main()
