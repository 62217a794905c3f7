/** What a search found as files: contexts as a table, all of it as JSON, a page that needs nothing else. */
import type { CallInput } from '../../../../preload/api'
import type { Context, SearchResult } from '../../../../preload/collections'
import { csvFile, exportFile, safeName } from '../../../charts/export'
import type { Table } from '../../../charts/csv'
import { presentStamp, saveExport, type CollectionOrigin } from '../../../exports/provenance'
import { saveFile } from '../../../exports/save'
import { services } from '../../../services'
import type { ExportAction } from '../../../stores/inspector'

const line = (where: string, context: Context): (string | number)[] => {
  const { row, inRows, position, value, label, start, tokens } = context
  const at = position - start
  const text = (from: number, to?: number): string =>
    tokens
      .slice(from, to)
      .map((token) => token.text)
      .join('')
  return [where, row, inRows, position, value, label ?? '', text(0, at), text(at, at + 1), text(at + 1)]
}

/** One context a line: where it is from, how many rows have it, its value, the text before, the token, the text behind. */
export const contextTable = ({ top, bottom, quantiles }: SearchResult): Table => ({
  header: ['from', 'row', 'in rows', 'position', 'value', 'label', 'before', 'token', 'behind'],
  rows: [
    ...top.map((context) => line('top', context)),
    ...quantiles.flatMap(({ from, to, contexts }) =>
      contexts.map((context) => line(`quantile ${from} to ${to}`, context)),
    ),
    ...bottom.map((context) => line('bottom', context)),
  ],
})

const arrays = (_: string, value: unknown): unknown =>
  value instanceof Float32Array || value instanceof Int32Array ? Array.from(value) : value

/** @param found asked for at the click: the question and what it gave */
export function searchExports(
  found: () => { input: CallInput<'collections.search'>; result: SearchResult } | null,
  origin: () => CollectionOrigin,
): ExportAction[] {
  const name = (what: string): string => safeName(`search-${what}`)
  const action = (
    id: string,
    label: string,
    run: (of: NonNullable<ReturnType<typeof found>>) => Promise<void>,
  ) => ({
    id,
    label,
    run: async () => {
      const present = found()
      if (present !== null) await run(present)
    },
  })
  return [
    action('page', 'Save as HTML page', async ({ input, result }) => {
      const page = await services().engine.call('collections.page', {
        ...input,
        title: result.what.slice(0, 200),
      })
      await saveFile({
        suggestedName: page.name,
        bytes: new TextEncoder().encode(page.html),
        filters: [{ name: 'HTML page', extensions: ['html'] }],
      })
    }),
    action('csv', 'CSV table of the contexts', ({ result }) =>
      saveExport(csvFile(contextTable(result), name(result.what)), origin()),
    ),
    action('json', 'JSON', async ({ input, result }) => {
      const text = JSON.stringify({ provenance: presentStamp(origin()), search: input, result }, arrays, 2)
      await saveFile(exportFile(name(result.what), 'json', new TextEncoder().encode(text)))
    }),
  ]
}
