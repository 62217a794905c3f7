/** A configuration of storyworld's that is trained within a second, and where storyworld itself lies. */
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export const storyworld = path.join(import.meta.dirname, '../../assets/models/storyworld')

/** Storyworld's tokenizer with a configuration of two narrow layers; no weights. */
export function tinyStoryworld(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-tiny-'))
  for (const name of [
    'tokenizer.json',
    'tokenizer_config.json',
    'chat_template.jinja',
    'generation_config.json',
  ])
    cpSync(path.join(storyworld, name), path.join(folder, name))
  const config = JSON.parse(readFileSync(path.join(storyworld, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >
  const tiny = {
    hidden_size: 32,
    head_dim: 8,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_hidden_layers: 2,
    intermediate_size: 48,
  }
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, ...tiny }))
  return folder
}
