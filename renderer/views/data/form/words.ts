/** The choices of the form in words. */
import { storedTypes, type StoredType } from '../../../../preload/extraction'
import type { SelectOption } from '../../../components/select-option'
import type { OutputDraft } from './output-draft'

type Options<T extends string> = readonly SelectOption<T>[]

export const positionOptions: Options<OutputDraft['positions']> = [
  { value: 'all', label: 'all' },
  { value: 'last', label: 'the last' },
  { value: 'text', label: 'of the text', hint: 'Without what tokenizer and template put around it.' },
  { value: 'at', label: 'by number' },
  { value: 'every', label: 'every n-th' },
  { value: 'matching', label: 'of matching tokens' },
  { value: 'span', label: 'of the span' },
  { value: 'span-offset', label: 'beside the span’s end' },
]
export const reductionOptions: Options<OutputDraft['reduction']> = [
  { value: 'none', label: 'as they are' },
  { value: 'mean', label: 'mean over positions' },
  { value: 'max', label: 'maximum over positions' },
  { value: 'norm', label: 'L2 norm' },
  { value: 'projection', label: 'projection on directions' },
  { value: 'top', label: 'the k largest' },
  { value: 'features', label: 'features of a dictionary', hint: 'The k most active of each position.' },
]
const typeHints: Record<StoredType, string> = {
  float32: '4 bytes: the numbers themselves',
  float16: '2 bytes: about three digits',
  bfloat16: '2 bytes: about two digits, any size',
  int8: '1 byte and a scale for each vector',
}
export const typeOptions: Options<StoredType> = storedTypes.map((value) => ({
  value,
  label: value,
  hint: typeHints[value],
}))
