/** The program that a person runs with their own transformers installation to get a reference for one model. */
import type { ModelFacts } from '../subject'
import { referenceProgram } from './reference-program'
import { drawnTokens } from './self-checks'

export interface ScriptSubject extends Pick<ModelFacts, 'name' | 'fingerprint' | 'vocab' | 'contextLength'> {
  /** The file or folder that Patchbay opens. */
  readonly place: string
}

export interface ReferenceScript {
  /** A plain file name, to be offered to the person. */
  readonly name: string
  readonly text: string
}

const PROMPTS = 2
const LENGTH = 16
/** Tokens that the program generates behind the prompts. */
const GENERATED = 8

/** The program for a model: its prompts are token ids, so no tokenizer matters. */
export function referenceScript(model: ScriptSubject): ReferenceScript {
  const { name, fingerprint, place, contextLength } = model
  const length = Math.max(1, Math.min(LENGTH, contextLength - GENERATED))
  const prompts = drawnTokens(model, Array<number>(PROMPTS).fill(length))
  const stem = fileStem(name)
  // transformers takes a folder, or a GGUF file; a single safetensors file stands for its folder.
  const source = place.endsWith('.safetensors') ? place.replace(/[^\\/]+$/, '.') : place
  const text = `#!/usr/bin/env python3
"""
Writes a parity reference for Patchbay: what this model computes in your own transformers, with plain hooks.

    python ${stem}-reference.py [MODEL] [--out FOLDER] [--dtype float64|float32]

It needs torch, transformers and safetensors, and gguf for a GGUF file. Afterwards, either of:

    patchbay certify MODEL --reference FOLDER
    "Check against a reference…" in the model menu
"""
NAME = ${JSON.stringify(name)}
MODEL = ${JSON.stringify(source)}
OUT = ${JSON.stringify(`${stem}-reference`)}
# The model that the reference is for, as Patchbay's library shows it.
MADE_FOR = ${JSON.stringify(fingerprint)}
PROMPTS = [
${prompts.map((row) => `    [${row.join(', ')}],`).join('\n')}
]

${referenceProgram}`
  return { name: `${stem}-reference.py`, text }
}

/** Of letters, digits, dots and dashes, whatever the model is called; never a path. */
const fileStem = (name: string): string =>
  (name.replace(/[^A-Za-z0-9.-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '') || 'model').slice(0, 80)
