"""Tables that the runtime reads, made when they are first needed."""

from functools import lru_cache

LOWEST, HIGHEST = -292, 324
"""The powers of ten in the table."""


@lru_cache(maxsize=1)
def powers_of_ten() -> tuple[str, bytes]:
    """Symbol and bytes of the table of 10**k for k from `LOWEST` to `HIGHEST`.

    Each entry is 10**k scaled by a power of two to 128 significant bits, rounded up, as two little-endian
    u64, the high half first (R. Giulietti, "The Schubfach way to render doubles", 2020, section 9.1).
    """
    out = bytearray()
    for power in range(LOWEST, HIGHEST + 1):
        numerator, denominator = (10**power, 1) if power >= 0 else (1, 10**-power)
        shift = 128 - (numerator.bit_length() - denominator.bit_length())
        while True:
            scaled = (numerator << shift if shift >= 0 else numerator) // (
                denominator if shift >= 0 else denominator << -shift
            )
            if scaled.bit_length() == 128:
                break
            shift += 128 - scaled.bit_length()
        top = numerator << shift if shift >= 0 else numerator
        bottom = denominator if shift >= 0 else denominator << -shift
        rounded = -(-top // bottom)
        out += (rounded >> 64).to_bytes(8, "little") + (rounded & (1 << 64) - 1).to_bytes(8, "little")
    return "table:powers_of_ten", bytes(out)
