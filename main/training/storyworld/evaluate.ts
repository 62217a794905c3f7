/** How much of storyworld a model knows: the fraction of each family's questions that it answers rightly. */
import { argmax, logSumExp } from '../../runtime/distribution'
import { PatchbayError } from '../../../preload/errors'
import type { NextLogits } from '../language-model/model'
import { SeededRandom } from '../random'
import { questions, type Question } from './tasks'
import { end } from './world'

/** The seed of the questions: another than any corpus is drawn from. */
const questionSeed = 99
const rowsAtOnce = 64

export type Encode = (text: string) => Promise<number[]>

/**
 * Accuracy by family.
 * @param count questions of each family that is drawn
 */
export async function evaluateStoryworld(
  nextLogits: NextLogits,
  encode: Encode,
  count = 300,
): Promise<Record<string, number>> {
  const all = questions(new SeededRandom(questionSeed), count)
  const asked = [...all.values()].flat()
  const prompts = await encodeAll(
    encode,
    asked.map(({ prompt }) => prompt),
  )
  const texts = [...new Set(asked.flatMap(({ right, wrong }) => [...right, ...wrong]))]
  const encoded = await encodeAll(encode, texts)
  const answers = new Map(texts.map((text, i) => [text, encoded[i].slice(1)]))
  const isRight = new Array<boolean>(asked.length)
  const of = (wanted: boolean): number[] =>
    asked.flatMap(({ mass = false }, i) => (mass === wanted ? [i] : []))
  const byToken = of(false)
  const logits = await logitsOfAll(
    nextLogits,
    byToken.map((i) => prompts[i]),
  )
  byToken.forEach((i, at) => (isRight[i] = isPreferred(asked[i], logits[at], answers)))
  for (const i of of(true)) isRight[i] = await hasMass(asked[i], prompts[i], answers, nextLogits)
  const accuracy: Record<string, number> = {}
  let at = 0
  for (const [family, list] of all) {
    accuracy[family] = isRight.slice(at, at + list.length).filter(Boolean).length / list.length
    at += list.length
  }
  return accuracy
}

type Answers = ReadonlyMap<string, readonly number[]>

const tokensOf = (answers: Answers, text: string): readonly number[] => answers.get(text) ?? []

/** By the first token of each answer. */
function isPreferred({ right, wrong }: Question, logits: Float32Array, answers: Answers): boolean {
  const first = (text: string): number => tokensOf(answers, text)[0]
  if (wrong.length === 0) return argmax(logits) === first(right[0])
  return logits[first(right[0])] > Math.max(...wrong.map((text) => logits[first(text)]))
}

/** By the probability of all answers, each the product of its tokens' probabilities. */
async function hasMass(
  { right, wrong }: Question,
  prompt: readonly number[],
  answers: Answers,
  nextLogits: NextLogits,
): Promise<boolean> {
  const prefixes = new Map<string, number[]>()
  for (const text of [...right, ...wrong]) {
    const tokens = tokensOf(answers, text)
    tokens.forEach((_, length) => prefixes.set(tokens.slice(0, length).join(), tokens.slice(0, length)))
  }
  const logits = await logitsOfAll(
    nextLogits,
    [...prefixes.values()].map((prefix) => [...prompt, ...prefix]),
  )
  const behind = new Map([...prefixes.keys()].map((key, i) => [key, logits[i]]))
  const probability = (text: string): number => {
    const tokens = tokensOf(answers, text)
    let log = 0
    tokens.forEach((token, length) => {
      const row = behind.get(tokens.slice(0, length).join())
      if (row !== undefined) log += row[token] - logSumExp(row)
    })
    return Math.exp(log)
  }
  const mass = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + probability(text), 0)
  return mass(right) > mass(wrong)
}

/** Token ids of each text behind <|endoftext|>; all are encoded in one call, and told apart by that token. */
async function encodeAll(encode: Encode, texts: readonly string[]): Promise<number[][]> {
  const ids = await encode(texts.map((text) => end + text).join(''))
  const rows: number[][] = []
  for (const id of ids)
    if (id === ids[0]) rows.push([id])
    else rows[rows.length - 1].push(id)
  if (rows.length !== texts.length)
    throw new PatchbayError(
      'tokenizer.unsupported',
      `The tokenizer does not know ${end} as a token of its own.`,
      {
        next: 'Use the tokenizer that comes with storyworld.',
      },
    )
  return rows
}

/** Rows of like length are run together, since they are padded to the longest. */
async function logitsOfAll(nextLogits: NextLogits, rows: readonly number[][]): Promise<Float32Array[]> {
  const order = rows.map((_, i) => i).sort((a, b) => rows[a].length - rows[b].length)
  const logits = new Array<Float32Array>(rows.length)
  for (let start = 0; start < order.length; start += rowsAtOnce) {
    const some = order.slice(start, start + rowsAtOnce)
    const out = await nextLogits(some.map((i) => rows[i]))
    some.forEach((i, j) => (logits[i] = out[j]))
  }
  return logits
}
