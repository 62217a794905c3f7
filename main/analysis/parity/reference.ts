/**
 * What a person supplies for a model to be compared with: a case folder, a folder of prompts for a given model, or a file
 * of tensors alone. Which of them it is shows in its `reference.json`.
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { isJsonObject } from '../../models/formats/strict-json'
import { quoted, readFailure } from '../../models/formats/malformed'
import { readBareCase, type Case } from './case'
import { checkCase, subjectOf, type CheckOptions } from './check'
import { readCaseWithGradients } from './checkpoint-case'
import { descriptionOf, descriptions, readDescription } from './description'
import type { GroupResult } from './groups'
import { checkPromptCase, isPromptReference, type PromptSubject } from './prompt-case'
import { tolerances } from './tolerances'

const TENSORS = 'reference.safetensors'

export interface SuppliedReference {
  readonly kind: 'case' | 'prompts' | 'tensors'
  /** The folder, or for `tensors` the file. */
  readonly place: string
  /** The file with the numbers. */
  readonly tensors: string
  /** What it calls itself; else the name of its folder or file. */
  readonly name: string
  /** Number format in which it was computed, as it says itself. */
  readonly computedIn: string | null
}

export interface ReferenceComparison {
  groups: GroupResult[]
  /** The greatest error that passes on the CPU. */
  usual: number
}

/**
 * Recognises a reference.
 * @param place a folder with `reference.json` and `reference.safetensors`, one of the two files, or another safetensors
 *   file with `input_ids`, `logits` and activations named as hook points
 * @throws PatchbayError `file.missing`, `file.unreadable`, `file.malformed`
 */
export async function suppliedReference(place: string): Promise<SuppliedReference> {
  const folder = (await isFolder(place)) ? place : path.dirname(place)
  const name = path.basename(place)
  if (folder !== place && !descriptions.some((one) => one === name) && name !== TENSORS)
    return { kind: 'tensors', place, tensors: place, name, computedIn: null }
  const content = await readDescription(await descriptionOf(folder))
  const text = (key: string): string | null => {
    const value = isJsonObject(content) ? content[key] : undefined
    return typeof value === 'string' ? value : null
  }
  const prompts = isPromptReference(content)
  return {
    kind: prompts ? 'prompts' : 'case',
    place: folder,
    tensors: path.join(folder, TENSORS),
    name: text(prompts ? 'model' : 'name') ?? path.basename(folder),
    computedIn: text('computed_in'),
  }
}

/**
 * Compares a model with a reference.
 * @throws PatchbayError `model.mismatch` where the reference is plainly of another model, and as reading and running do
 */
export async function checkReference(
  model: PromptSubject,
  { kind, place }: SuppliedReference,
  options: CheckOptions = {},
): Promise<ReferenceComparison> {
  if (kind === 'prompts')
    return { groups: await checkPromptCase(model, place, options), usual: tolerances.model }
  const reference = await (kind === 'case' ? readCaseWithGradients(place) : readBareCase(place))
  try {
    requireSameModel(model, reference, place)
    return { groups: await checkCase(subjectOf(model), reference, options), usual: tolerances.case }
  } finally {
    await reference.close()
  }
}

function requireSameModel({ facts }: PromptSubject, { reference }: Case, file: string): void {
  const { layers, made_for: madeFor } = reference
  const other =
    layers !== undefined && layers !== facts.layers
      ? `is of a model with ${layers} layers, but ${facts.name} has ${facts.layers}`
      : madeFor !== undefined && madeFor !== facts.fingerprint
        ? `was made for the model ${madeFor.slice(0, 12)}…, but ${facts.name} is ${facts.fingerprint.slice(0, 12)}…`
        : null
  if (other === null) return
  throw new PatchbayError('model.mismatch', `The reference ${quoted(reference.name)} ${other}.`, {
    next: 'Choose the reference that was made from this model.',
    file,
  })
}

async function isFolder(place: string): Promise<boolean> {
  try {
    return (await stat(place)).isDirectory()
  } catch (cause) {
    throw readFailure(place, cause)
  }
}
