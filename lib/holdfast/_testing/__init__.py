"""How ``holdfast.testing`` interrupts a generator and judges how it goes on."""
