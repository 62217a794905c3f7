/** A data set as it is being chosen: where its rows come from, how a row becomes a prompt, which rows are used. */
import type { DatasetReport, DatasetSource, DatasetSpecInput, RowPrompt } from '../../preload/datasets'
import type { BosPolicy, ChatMessage } from '../../preload/prompt'

export const promptWays = ['column', 'template', 'chat', 'messages', 'tokens'] as const
export type PromptWay = (typeof promptWays)[number]

export interface DatasetDraft {
  source: DatasetSource | null
  /** What the source is called for people. */
  name: string
  way: PromptWay
  column: string
  template: string
  messages: ChatMessage[]
  addGenerationPrompt: boolean
  bos: BosPolicy
  /** '' for none. */
  label: string
  span: 'none' | 'column' | 'marks'
  spanColumn: string
  occurrence: 'first' | 'last'
  open: string
  close: string
  /** 0: the model's context. */
  maxTokens: number
  truncate: 'left' | 'right' | 'refuse'
  deduplicate: boolean
  skip: number
  /** 0: all. */
  limit: number
  sampled: boolean
  seed: number
}

export const emptyDataset = (): DatasetDraft => ({
  source: null,
  name: '',
  way: 'column',
  column: '',
  template: '',
  messages: [{ role: 'user', content: '' }],
  addGenerationPrompt: true,
  bos: 'model',
  label: '',
  span: 'none',
  spanColumn: '',
  occurrence: 'last',
  open: '[[',
  close: ']]',
  maxTokens: 0,
  truncate: 'right',
  deduplicate: false,
  skip: 0,
  limit: 0,
  sampled: false,
  seed: 0,
})

/** Takes over what a look at the data set suggests. */
export function takeSuggested(draft: DatasetDraft, { columns, suggested }: DatasetReport): void {
  const { prompt, label } = suggested
  const first = columns.at(0)?.name ?? ''
  draft.label = label ?? ''
  draft.column = first
  draft.spanColumn = first
  draft.way = prompt?.kind ?? 'column'
  draft.template = first === '' ? '' : `{{${first}}}`
  draft.messages = [{ role: 'user', content: draft.template }]
  if (prompt === null) return
  if ('column' in prompt) draft.column = prompt.column
  if (prompt.kind === 'template') draft.template = prompt.template
  if (prompt.kind === 'chat') draft.messages = prompt.messages.map((message) => ({ ...message }))
}

/** What is still missing, in a sentence; null when the rows can be prepared. */
export function missingOfDataset(draft: DatasetDraft): string | null {
  if (draft.source === null) return 'Choose a data set.'
  switch (draft.way) {
    case 'template':
      if (draft.template.trim() === '') return 'Write the template of the prompts.'
      break
    case 'chat':
      if (draft.messages.some(({ content }) => content === ''))
        return 'Write what is said in each message, or remove it.'
      break
    default:
      if (draft.column === '') return 'Choose the column with the prompts.'
  }
  if (draft.span === 'column' && draft.spanColumn === '') return 'Choose the column of the span.'
  if (draft.span === 'marks' && (draft.open === '' || draft.close === ''))
    return 'Write the two marks around the span.'
  return null
}

function promptOf(draft: DatasetDraft): RowPrompt {
  const { way, column, template, addGenerationPrompt } = draft
  switch (way) {
    case 'column':
    case 'tokens':
      return { kind: way, column }
    case 'messages':
      return { kind: way, column, addGenerationPrompt }
    case 'template':
      return { kind: way, template }
    case 'chat':
      return {
        kind: way,
        messages: draft.messages.map(({ role, content }) => ({ role, content })),
        addGenerationPrompt,
      }
  }
}

/** The data set as the contract takes it; null while something is missing. */
export function datasetOf(draft: DatasetDraft): DatasetSpecInput | null {
  if (draft.source === null || missingOfDataset(draft) !== null) return null
  const { spanColumn, occurrence, open, close } = draft
  return {
    source: draft.source,
    prompt: promptOf(draft),
    bos: draft.bos,
    label: draft.label === '' ? null : draft.label,
    span:
      draft.span === 'none'
        ? null
        : draft.span === 'column'
          ? { kind: 'column', column: spanColumn, occurrence }
          : { kind: 'marks', open, close },
    maxTokens: draft.maxTokens === 0 ? null : draft.maxTokens,
    truncate: draft.truncate,
    deduplicate: draft.deduplicate,
    skip: draft.skip,
    limit: draft.limit === 0 ? null : draft.limit,
    sample: draft.sampled ? { seed: draft.seed } : null,
  }
}
