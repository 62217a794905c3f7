/** Data sets as they are, and as a model gets them. */
import { inspectSource, prepareRows } from '../../datasets'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const datasetHandlers = ({
  models,
}: Engine): HandlerPart<'datasets.inspect' | 'datasets.preview'> => ({
  'datasets.inspect': ({ source }, { signal }) => inspectSource(source, { signal }),
  'datasets.preview': async ({ model, dataset, offset, count }, { signal }) => {
    const window = { offset, count }
    // Duplicates are told from all rows before them, which a preview does not read.
    const spec = { ...dataset, deduplicate: false }
    const rows = []
    const failures = []
    for await (const each of prepareRows(spec, await models.get(model), { signal, window }))
      if (each.kind === 'failure') failures.push(each.failure)
      else if (each.kind === 'row') {
        const { row, tokens, label, span, truncated, notes } = each.row
        rows.push({ row, tokens, label, span, truncated, notes })
      }
    return { rows, failures }
  },
})
