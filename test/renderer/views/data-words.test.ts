/** The parts of the data view that need no window: drafts, pasted rows, directions from files, colours, names. */
import { describe, expect, it } from 'vitest'
import { datasetSpec } from '../../../preload/datasets'
import { extractOutput } from '../../../preload/extraction'
import { encodeNpy } from '../../../preload/npy'
import { inRectangle, nearestPoint } from '../../../renderer/charts/nearest'
import { cloudGroups, cloudOption, type CloudSpec } from '../../../renderer/charts/cloud-option'
import { readTheme } from '../../../renderer/charts/theme'
import { gridKey } from '../../../renderer/components/grid-keys'
import { isDataFile } from '../../../renderer/stores/dropped-data'
import { both, rowsFilter } from '../../../renderer/views/data/collection/collection-state'
import { colourOf } from '../../../renderer/views/data/collection/colour-choice'
import { comparable, shortNames } from '../../../renderer/views/data/collection/comparable'
import { directionOf } from '../../../renderer/views/data/collection/direction-file'
import { emptySearch, missingOfSearch, searchOf } from '../../../renderer/views/data/collection/search-draft'
import { datasetOf, emptyDataset, missingOfDataset } from '../../../renderer/datasets/dataset-draft'
import { fileName, pathIn } from '../../../renderer/files/choose-path'
import {
  emptyOutput,
  hooksOf,
  integersOf,
  missingOfOutput,
  outputOf,
} from '../../../renderer/views/data/form/output-draft'
import { pastedKind, pastedRows } from '../../../renderer/datasets/pasted'
import { syntheticCollection } from '../support/synthetic-collections'
import { syntheticModel } from '../support/synthetic-model'

const model = syntheticModel()
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('a data set that is being chosen', () => {
  it('says what is missing, one thing after the other', () => {
    const draft = emptyDataset()
    expect(missingOfDataset(draft)).toBe('Choose a data set.')
    draft.source = { kind: 'file', path: '/a.jsonl' }
    expect(missingOfDataset(draft)).toBe('Choose the column with the prompts.')
    draft.way = 'template'
    expect(missingOfDataset(draft)).toBe('Write the template of the prompts.')
    draft.way = 'chat'
    expect(missingOfDataset(draft)).toContain('each message')
    expect(datasetOf(draft)).toBeNull()
  })

  it('is what the contract takes, with zero for what is not limited', () => {
    const draft = emptyDataset()
    Object.assign(draft, {
      source: { kind: 'file', path: '/a.jsonl' },
      way: 'messages',
      column: 'chat',
      span: 'marks',
      limit: 10,
      sampled: true,
      seed: 4,
    })
    expect(datasetSpec.parse(datasetOf(draft))).toMatchObject({
      prompt: { kind: 'messages', column: 'chat', addGenerationPrompt: true },
      label: null,
      span: { kind: 'marks', open: '[[', close: ']]' },
      maxTokens: null,
      limit: 10,
      sample: { seed: 4 },
    })
  })
})

describe('an output that is being chosen', () => {
  it('names every layer with a star, or the layers that are written', () => {
    const draft = emptyOutput()
    expect(hooksOf(draft, model)).toEqual(['blocks.*.hook_resid_post'])
    draft.layers = '0, 2-3, 2'
    expect(hooksOf(draft, model)).toEqual([0, 2, 3].map((layer) => `blocks.${layer}.hook_resid_post`))
    draft.layers = '4'
    expect(missingOfOutput(draft, model, false)).toMatchObject({
      field: 'layers',
      says: expect.stringContaining('this model has 0 to 3') as unknown,
    })
    draft.site = 'hook_embed'
    expect(hooksOf(draft, model)).toEqual(['hook_embed'])
  })

  it('needs a span in the data set for positions of a span, and directions for a projection', () => {
    const draft = emptyOutput()
    draft.positions = 'span-offset'
    expect(missingOfOutput(draft, model, false)?.says).toContain('need a span')
    expect(missingOfOutput(draft, model, true)).toBeNull()
    draft.reduction = 'projection'
    expect(missingOfOutput(draft, model, true)?.says).toContain('directions')
    draft.preset = 'mood'
    expect(extractOutput.parse(outputOf(draft, model))).toMatchObject({
      positions: { kind: 'span-offset', from: 'last', offset: 0 },
      reduction: { kind: 'projection', directions: { kind: 'preset', id: 'mood' } },
    })
  })

  it.each([
    ['0, 2-4', 0, [0, 2, 3, 4]],
    ['0 -1', -5, [0, -1]],
    ['-1', 0, null],
    ['4-2', 0, null],
    ['', 0, null],
    ['1.5', 0, null],
  ])('takes %j as integers', (text, least, expected) => {
    expect(integersOf(text, least)).toEqual(expected)
  })
})

describe('pasted rows', () => {
  it('are told apart by their first line', () => {
    expect(pastedKind('{"text": "a"}\n…')).toBe('jsonl')
    expect(pastedKind('text\tlabel\na\tb')).toBe('table')
    expect(pastedKind('Hello, world')).toBe('lines')
    expect(pastedKind('{not json')).toBe('lines')
  })

  it('keep what is nested as JSON, and texts of lines as they are', () => {
    expect(pastedRows('{"a": {"b": 1}, "c": null, "d": 2}', 'jsonl')).toEqual([
      { a: '{"b":1}', c: null, d: 2 },
    ])
    expect(pastedRows('a\r\n\r\n b ', 'lines')).toEqual([{ text: 'a' }, { text: ' b ' }])
    expect(pastedRows('text,n\n"a,b",1', 'csv')).toEqual([{ text: 'a,b', n: '1' }])
  })

  it('are refused with two columns of one name, or lines of other lengths, naming the line', () => {
    expect(() => pastedRows('a\ta\n1\t2', 'table')).toThrow('Line 1 of what was pasted names two columns “a”')
    expect(() => pastedRows('a\tb\n1', 'table')).toThrow('Line 2 of what was pasted has 1 columns')
  })
})

describe('a direction from a file', () => {
  const data = Float32Array.of(1, -2, 3)
  const safetensors = (header: object, body = data): Uint8Array => {
    const text = bytes(JSON.stringify(header))
    const file = new Uint8Array(8 + text.length + body.byteLength)
    new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
    file.set(text, 8)
    file.set(new Uint8Array(body.buffer), 8 + text.length)
    return file
  }
  const vector = { v: { dtype: 'F32', shape: [3], data_offsets: [0, 12] } }

  it('is read from NumPy’s format and from safetensors', () => {
    const npy = encodeNpy({ type: 'float32', shape: [3], data })
    expect(directionOf('d.npy', npy)).toEqual({ shape: [3], data })
    expect(directionOf('d.safetensors', safetensors(vector))).toEqual({ shape: [3], data })
  })

  it.each([
    [
      'a matrix',
      () => safetensors({ v: { dtype: 'F32', shape: [3, 1], data_offsets: [0, 12] } }),
      /one vector/,
    ],
    [
      'a vector behind the file',
      () => safetensors({ v: { ...vector.v, data_offsets: [400, 412] } }),
      /outside of the file/,
    ],
    ['a number that is not finite', () => safetensors(vector, Float32Array.of(1, NaN, 3)), /NaN or infinity/],
    ['a header that ends nowhere', () => new Uint8Array(12).fill(255), /no \.safetensors file/],
    [
      'whole numbers',
      () => encodeNpy({ type: 'int32', shape: [3], data: new Int32Array(3) }),
      /not floating-point/,
    ],
  ])('is refused with %s', (_, file, message) => {
    expect(() => directionOf('d', file())).toThrow(message)
  })
})

describe('a search that is being chosen', () => {
  const { collection } = syntheticCollection(model, 5)
  const output = collection.outputs[0]
  const heads = { ...output, dims: ['pos', 'head', 'd_head'], sizes: [null, 4, 32] }

  it('names the head of a unit where the output has heads', () => {
    const draft = { ...emptySearch(), unit: 3, head: 2 }
    expect(searchOf(draft, output, { id: 'a', filter: '' })?.target).toEqual({ kind: 'unit', unit: 3 })
    expect(searchOf(draft, heads, { id: 'a', filter: '' })?.target).toEqual({
      kind: 'unit',
      unit: 3,
      head: 2,
    })
  })

  it('says which heads there are', () => {
    expect(missingOfSearch({ ...emptySearch(), kind: 'head' }, output)).toContain('no heads')
    expect(missingOfSearch({ ...emptySearch(), kind: 'head', head: 4 }, heads)).toContain('heads 0 to 3')
  })
})

describe('the colours of rows', () => {
  it('give the most frequent labels their own, and the others one together', () => {
    const values = ['a', 'a', 'b', null, ...'cdefghij']
    const colour = colourOf('label', 'text', values)
    if (colour.kind !== 'class') throw new Error('no classes')
    expect(colour.names).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'others'])
    expect(Array.from(colour.index)).toEqual([0, 0, 1, -1, 2, 3, 4, 5, 6, 7, 7, 7])
  })

  it('go over the range of a number, with rows without one apart', () => {
    const colour = colourOf('score', 'number', [2, null, 6])
    expect(colour).toMatchObject({ kind: 'number', domain: { min: 2, max: 6 } })
    const spec: CloudSpec = {
      x: [0, 1, 2],
      y: [0, 1, 2],
      colour,
      xTitle: 'x',
      yTitle: 'y',
      marked: new Set([2]),
      selected: 0,
    }
    const theme = readTheme(document.documentElement)
    const groups = cloudGroups(spec, theme)
    expect(groups.map(({ points }) => points)).toEqual([[0], [2], [1]])
    // Faded, the marked one again, the ring around the selected one.
    expect(cloudOption(spec, { width: 400, height: 300 }, theme).series).toHaveLength(3 + 3 + 1)
  })
})

describe('points of a plane', () => {
  const x = [0, 10, 20]
  const y = [0, 5, NaN]
  it('are found near a place, or within a rectangle whichever way it is drawn', () => {
    expect(nearestPoint(x, y, [9, 5], [1, -1], 12)).toBe(1)
    expect(nearestPoint(x, y, [20, 0], [0.1, -0.1], 12)).toBeNull()
    expect(inRectangle(x, y, [11, 6], [-1, -1])).toEqual([0, 1])
  })
})

describe('names and filters', () => {
  it('leave out what all outputs share', () => {
    expect(shortNames(['blocks.0.hook_resid_post[last]', 'blocks.1.hook_resid_post[last]'])).toEqual([
      '0 resid_post',
      '1 resid_post',
    ])
  })

  it('put outputs of one kind beside each other', () => {
    const { collection } = syntheticCollection(model, 5)
    const other = { ...collection.outputs[0], name: 'other', sizes: [null, 7] }
    expect(comparable([...collection.outputs, other], collection.outputs[1])).toEqual(collection.outputs)
  })

  it('keep a filter that ends in a comment from swallowing the rows that were brushed', () => {
    expect(both('tokens > 2 -- long', rowsFilter([1, 2]))).toBe(
      '(tokens > 2 -- long\n) AND ("row" IN (1,2)\n)',
    )
    expect(both('', 'a')).toBe('a')
  })

  it('name a path’s last part, and a new folder as its system does', () => {
    expect([fileName('/a/b.csv'), fileName('C:\\a\\b\\')]).toEqual(['b.csv', 'b'])
    expect([pathIn('/a', 'b'), pathIn('C:\\a', 'b'), pathIn('/', 'b')]).toEqual(['/a/b', 'C:\\a\\b', '/b'])
  })

  it('tell data sets from models by their name', () => {
    expect(['a.jsonl', 'b.PARQUET', 'm.gguf', 'folder', 'config.json'].map(isDataFile)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ])
  })
})

describe('keys of a table', () => {
  it('move within it, choose and mark', () => {
    expect(gridKey(0, 5, 'ArrowUp')).toEqual({ do: 'move', to: 0 })
    expect(gridKey(0, 5, 'PageDown')).toEqual({ do: 'move', to: 4 })
    expect(gridKey(2, 5, 'Enter')).toEqual({ do: 'choose' })
    expect(gridKey(2, 5, ' ')).toEqual({ do: 'mark' })
    expect(gridKey(0, 0, 'End')).toBeNull()
    expect(gridKey(0, 5, 'a')).toBeNull()
  })
})
