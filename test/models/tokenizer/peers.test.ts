/** Every component against Hugging Face's `tokenizers`: cases.json was made by make.py beside it. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { planDecoder } from '../../../main/models/tokenizer/decode-plan'
import { pieceTable } from '../../../main/models/tokenizer/definition'
import { Detokenizer } from '../../../main/models/tokenizer/detokenizer'
import { createEncoder } from '../../../main/models/tokenizer/encoding/encoder'
import { definitionFromFolder } from '../../../main/models/tokenizer/sources/from-folder'

interface Cases {
  texts: string[]
  models: Record<
    string,
    {
      base: Record<string, unknown>
      variants: {
        name: string
        components: Record<string, unknown>
        /** of each text: its ids, their text, their text without special tokens */
        cases: [ids: number[], decoded: string, withoutSpecials: string][]
      }[]
    }
  >
}

const file = new URL('../../reference/cases/tokenizers/cases.json', import.meta.url)
const { texts, models } = JSON.parse(readFileSync(file, 'utf8')) as Cases

describe.each(Object.entries(models))('%s', (_, { base, variants }) => {
  it.each(variants.map((variant) => [variant.name, variant] as const))(
    '%s',
    (_name, { components, cases }) => {
      const definition = definitionFromFolder({
        kind: 'folder',
        tokenizer: JSON.stringify({ ...base, ...components }),
        tokenizerConfig: null,
        specialTokensMap: null,
        generationConfig: null,
        config: null,
        templateFile: null,
        templateJson: null,
      })
      const encoder = createEncoder(definition)
      const special = definition.addedTokens.filter((token) => token.special).map((token) => token.id)
      const detokenizer = new Detokenizer(
        pieceTable(definition),
        new Set(special),
        planDecoder(definition.decoder),
      )
      texts.forEach((text, index) => {
        const [ids, decoded, withoutSpecials] = cases[index]
        expect([text, encoder.encode(text)]).toEqual([text, ids])
        expect(detokenizer.decode(ids)).toBe(decoded)
        expect(detokenizer.decode(ids, { skipSpecialTokens: true })).toBe(withoutSpecials)
      })
    },
  )
})
