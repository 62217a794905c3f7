/** Rows prepared with the embedded model's tokenizer, and what is looked at of them. */
import path from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import {
  prepareRows,
  type Cells,
  type Prepared,
  type PreparedDataRow,
  type RowEncoder,
} from '../../main/datasets'
import { loadTokenizerFromFolder, type Tokenizer } from '../../main/models/tokenizer'
import { datasetSpec, type DatasetSpecInput } from '../../preload/datasets'
import { all } from './support'

export type Spec = Omit<DatasetSpecInput, 'source'>

export interface Preparing {
  readonly tokenizer: Tokenizer
  readonly encoder: RowEncoder
  rows(rows: Cells[], spec: Spec, options?: Parameters<typeof prepareRows>[2]): Promise<Prepared[]>
  /** The one row; throws where it is a failure. */
  one(cells: Cells, spec: Spec): Promise<PreparedDataRow>
}

/** With a context of 64 tokens. */
export function usePreparing(): Preparing {
  let tokenizer: Tokenizer
  beforeAll(async () => {
    tokenizer = await loadTokenizerFromFolder(
      path.join(import.meta.dirname, '../../assets/models/storyworld'),
    )
  })
  afterAll(() => tokenizer.close())
  const preparing: Preparing = {
    get tokenizer() {
      return tokenizer
    },
    get encoder() {
      return {
        facts: { contextLength: 64, vocab: tokenizer.vocabSize },
        tokenise: (prompt, signal) => tokenizer.encodePrompt(prompt, signal),
        tokens: (ids) => tokenizer.tokens(ids),
      } satisfies RowEncoder
    },
    rows: (rows, spec, options) =>
      all(
        prepareRows(
          datasetSpec.parse({ source: { kind: 'rows', rows }, ...spec }),
          preparing.encoder,
          options,
        ),
      ),
    async one(cells, spec) {
      const [found] = await preparing.rows([cells], spec)
      if (found.kind === 'row') return found.row
      throw new Error(JSON.stringify(found))
    },
  }
  return preparing
}

const joined = (tokens: PreparedDataRow['tokens']): string => tokens.map(({ text }) => text).join('')
export const ofText = ({ tokens }: PreparedDataRow): string =>
  joined(tokens.filter(({ origin }) => origin === 'text'))
export const spanText = ({ tokens, span }: PreparedDataRow): string =>
  joined(tokens.slice(...(span ?? [0, 0])))
export const code = (prepared: Prepared): unknown =>
  prepared.kind === 'failure' ? prepared.failure.error.code : prepared.kind
