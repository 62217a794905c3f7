/** Data sets that come with Patchbay: sentences of the kinds that storyworld was trained on, fetched when asked for. */
import { PatchbayError } from '../../preload/errors'
import type { Cell, RowPrompt } from '../../preload/datasets'
import { pastedRows } from './pasted'

const texts = {
  reviews: () => import('../../assets/datasets/reviews.jsonl?raw'),
  dialogues: () => import('../../assets/datasets/dialogues.jsonl?raw'),
} as const
export type ExampleName = keyof typeof texts

export interface Example {
  name: ExampleName
  title: string
  text: string
  /** How its rows are meant as prompts of a model with a chat template; a guess unless given. */
  chat?: RowPrompt
}

export const examples: readonly Example[] = [
  { name: 'reviews', title: 'Reviews', text: '200 reviews, liked or not' },
  {
    name: 'dialogues',
    title: 'Dialogues',
    text: '100 requests, harmless or harmful',
    chat: {
      kind: 'chat',
      messages: [{ role: 'user', content: '{{request}}' }],
      addGenerationPrompt: true,
    },
  },
]

/** @throws PatchbayError `internal` where the window's own file is gone */
export async function exampleRows(name: ExampleName): Promise<Record<string, Cell>[]> {
  const file = await texts[name]().catch((cause: unknown) => {
    throw new PatchbayError('internal', `The example ${name} could not be loaded.`, { cause })
  })
  return pastedRows(file.default, 'jsonl')
}
