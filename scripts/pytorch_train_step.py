"""PyTorch's side of scripts/bench-train-step: the step of benches/train_step.rs, same sizes, same output."""

import argparse
import json
import time

import torch
from transformers import BertConfig, BertForSequenceClassification

WARM_UP_STEPS = 3
THREADS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="32x32")
    parser.add_argument("--steps", type=int, default=11)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    sequences, length = map(int, arguments.shape.split("x"))
    config = BertConfig(
        vocab_size=30522,
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=12,
        max_position_embeddings=512,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        num_labels=3,
    )
    model = BertForSequenceClassification(config).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01)
    # Every text has full length, so no attention mask is needed: PyTorch pays for no padding.
    tokens = torch.randint(1000, 30000, (sequences, length))
    labels = torch.arange(sequences) % 3
    times = []
    for step in range(WARM_UP_STEPS + arguments.steps):
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        model(input_ids=tokens, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step >= WARM_UP_STEPS:
            times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    line = dict(
        program="pytorch",
        shape=arguments.shape,
        median_ms=times[len(times) // 2],
        min_ms=times[0],
        max_ms=times[-1],
    )
    print(json.dumps(line))


if __name__ == "__main__":
    main()
