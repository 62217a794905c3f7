/** Collections: what was extracted from data sets, and what one does with it. */
import type { collectionCalls } from '../../../preload/collections'
import { exportCollection } from '../../collections/export/export'
import { scatter } from '../../collections/maps/scatter'
import { cosines, neighbours, norms } from '../../collections/measures'
import { outliers } from '../../collections/outliers'
import { page } from '../../collections/page/page'
import { search } from '../../collections/search/search'
import type { PresetVectors } from '../../collections/search/target'
import { rowTokens } from '../../collections/tokens'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

export const collectionHandlers = ({
  collections,
  presets,
}: Engine): HandlerPart<keyof typeof collectionCalls> => {
  const presetVectors: PresetVectors = async (id) => {
    const entry = await presets.get(id)
    const vectors = await presets.vectors(entry)
    return { name: entry.preset.name, sites: [...vectors].map(([{ hook }, vector]) => ({ hook, vector })) }
  }
  return {
    'collections.list': () => collections.list(),
    'collections.describe': ({ id }) => collections.describe(id),
    'collections.label': ({ id, ...change }) => collections.label(id, change),
    'collections.remove': async ({ id }) => {
      await collections.remove(id)
      return {}
    },
    'collections.rows': ({ id, ...page }, { signal }) =>
      collections.use(id, (_, table) => table.page(page, signal)),
    'collections.query': ({ id, sql, limit }, { signal }) =>
      collections.use(id, async (_, table) => {
        const started = performance.now()
        const answer = await table.query(sql, limit, signal)
        return { ...answer, seconds: (performance.now() - started) / 1000 }
      }),
    'collections.tokens': ({ id, row, output }) =>
      collections.use(id, (collection) => rowTokens(collection, row, output)),
    'collections.norms': ({ id, filter, ...choice }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) =>
        norms(collection, choice, await table.matching(filter, signal), { signal, onProgress }),
      ),
    'collections.scatter': ({ id, filter, ...options }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) =>
        scatter(collection, options, await table.matching(filter, signal), { signal, onProgress }),
      ),
    'collections.neighbours': ({ id, filter, ...options }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) =>
        neighbours(collection, options, await table.matching(filter, signal), { signal, onProgress }),
      ),
    'collections.cosines': ({ id, filter, ...choice }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) => ({
        cosines: await cosines(collection, choice, await table.matching(filter, signal), {
          signal,
          onProgress,
        }),
      })),
    'collections.outliers': ({ id, output, count, filter }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) =>
        outliers(collection, output, count, await table.matching(filter, signal), { signal, onProgress }),
      ),
    'collections.search': ({ id, filter, ...options }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) =>
        search(collection, options, await table.matching(filter, signal), presetVectors, {
          signal,
          onProgress,
        }),
      ),
    'collections.page': ({ id, filter, title, ...options }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) => {
        const rows = await table.matching(filter, signal)
        const result = await search(collection, options, rows, presetVectors, { signal, onProgress })
        const { name } = await collections.labelOf(id)
        const { manifest } = collection
        return page({ title, collection: name, filter, output: options.output, manifest, result })
      }),
    'collections.export': ({ id, filter, ...options }, { signal, progress: onProgress }) =>
      collections.use(id, async (collection, table) => {
        const rows = await table.matching(filter, signal)
        const { name } = await collections.labelOf(id)
        return exportCollection(collection, { ...options, name, filter }, rows, { signal, onProgress })
      }),
  }
}
