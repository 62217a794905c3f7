/** Presets on disk, and as files for other machines. */
import { exportPreset, importPreset } from '../../steering/preset-file'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

type PresetCalls = 'preset.list' | 'preset.save' | 'preset.delete' | 'preset.export' | 'preset.import'

export const presetHandlers = ({ presets }: Engine): HandlerPart<PresetCalls> => ({
  'preset.list': () => presets.list(),
  'preset.save': ({ preset }) => presets.save(preset),
  'preset.delete': async ({ id }) => {
    await presets.delete(id)
    return {}
  },
  'preset.export': async ({ id }) => {
    const entry = await presets.get(id)
    return exportPreset(entry.preset, await presets.vectors(entry))
  },
  'preset.import': async ({ bytes }) => {
    const { preset, vectors } = importPreset(bytes)
    return presets.create(preset, vectors)
  },
})
