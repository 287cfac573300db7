"""Exercise 12.1: ways to forget a factor. A docstring is a piece of the message it causes."""


def wrong_keys_only(layers, kv_heads, head_dim, tokens, bytes_each):
    """a key and a value"""
    return layers * kv_heads * head_dim * tokens * bytes_each


def wrong_one_layer(layers, kv_heads, head_dim, tokens, bytes_each):
    """every layer has keys and values of its own"""
    return 2 * kv_heads * head_dim * tokens * bytes_each


def wrong_one_head(layers, kv_heads, head_dim, tokens, bytes_each):
    """every key-value head has keys and values of its own"""
    return 2 * layers * head_dim * tokens * bytes_each


def wrong_always_half_precision(layers, kv_heads, head_dim, tokens, bytes_each):
    """see bytes_each"""
    return 2 * layers * kv_heads * head_dim * tokens * 2


def wrong_one_token(layers, kv_heads, head_dim, tokens, bytes_each):
    """3 layers, 5 heads of 7, 11 tokens, 2 bytes"""
    return 2 * layers * kv_heads * head_dim * bytes_each
