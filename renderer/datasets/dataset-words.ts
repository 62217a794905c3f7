/** The choices about a data set in words. */
import type { DatasetFormat, DatasetReport } from '../../preload/datasets'
import { formatBytes, formatCount } from '../charts/numbers'
import type { SelectOption } from '../components/select-option'
import type { DatasetDraft, PromptWay } from './dataset-draft'
import type { PastedKind } from './pasted'

type Options<T extends string> = readonly SelectOption<T>[]

export const formatWords: Record<DatasetFormat | 'rows', string> = {
  jsonl: 'JSON Lines',
  csv: 'CSV',
  tsv: 'TSV',
  parquet: 'Parquet',
  arrow: 'Arrow',
  lines: 'text, a row a line',
  paragraphs: 'text, a row a paragraph',
  document: 'text, one row',
  folder: 'folder',
  rows: 'rows',
}
export const wayOptions: Options<PromptWay> = [
  { value: 'column', label: 'A column', hint: 'Its text is the prompt.' },
  { value: 'template', label: 'A template', hint: 'Text with {{column}} in it.' },
  { value: 'chat', label: 'A chat', hint: 'Messages that are templates, through the model’s chat template.' },
  { value: 'messages', label: 'A column of chats', hint: 'JSON: [{"role": …, "content": …}, …]' },
  { value: 'tokens', label: 'A column of token ids', hint: 'JSON: [1, 2, 3]' },
]
export const pastedOptions: Options<PastedKind> = [
  { value: 'lines', label: 'a text a line' },
  { value: 'table', label: 'a table parted by tabs', hint: 'The first line names the columns.' },
  { value: 'csv', label: 'CSV', hint: 'The first line names the columns.' },
  { value: 'jsonl', label: 'JSON Lines' },
]
export const truncationOptions: Options<DatasetDraft['truncate']> = [
  { value: 'right', label: 'cut at the end' },
  { value: 'left', label: 'cut at the start', hint: 'Never the tokens before the text.' },
  { value: 'refuse', label: 'list as failures' },
]

/** The columns of a data set as choices, each with its type. */
export const columnOptions = ({ columns }: DatasetReport): SelectOption<string>[] =>
  columns.map(({ name, type }) => ({ value: name, label: name, hint: type }))

/** "CSV · 200 rows · 2 files · 3.1 KiB" */
export function reportWords({ format, rows, files }: DatasetReport): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  return [
    formatWords[format],
    rows === null ? 'rows not counted yet' : `${formatCount(rows)} rows`,
    ...(files.length > 1 ? [`${formatCount(files.length)} files`] : []),
    ...(bytes > 0 ? [formatBytes(bytes)] : []),
  ].join(' · ')
}
