"""Events from outside: signed messages that start missions or signal them, by a mapping that people edit.

`signatures` proves who sent, `mapping` says what is meant, `arriving` does it once, `hooks` keeps the rules.
"""
