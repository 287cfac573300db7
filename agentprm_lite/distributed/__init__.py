"""The same loop under torchrun: ranks, shards of tasks, merged files."""
