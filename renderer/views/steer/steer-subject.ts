/** What the inspector says about the chosen preset at its strength. */
import type { PresetEntry } from '../../../preload/api'
import type { ModelDescription } from '../../../preload/model'
import { formatNumber } from '../../charts/numbers'
import { copyText } from '../../exports/save'
import type { InspectorRow, InspectorSubject } from '../../stores/inspector'
import { normText, operationText, originText, positionsText } from './preset-words'
import { steerCommand, steerJson } from './steer-command'
import type { SteerRequest } from './steering-run'

export function steerSubject(
  { preset }: PresetEntry,
  strength: number,
  request: SteerRequest | null,
  model: ModelDescription,
  exportPreset: () => Promise<void>,
): InspectorSubject {
  const command = request === null ? null : steerCommand(request, model)
  const site = (i: number, what: string) =>
    preset.sites.length === 1 ? what : `Site ${i + 1}, ${what.toLowerCase()}`
  return {
    title: `${preset.name} · strength ${formatNumber(strength)}`,
    ...(preset.sites.length === 1 ? { hook: preset.sites[0].hook } : {}),
    rows: [
      ...preset.sites.flatMap((at, i): InspectorRow[] => [
        ...(preset.sites.length === 1 ? [] : [{ label: site(i, 'Hook point'), value: at.hook, mono: true }]),
        { label: site(i, 'Operation'), value: operationText(at) },
        { label: site(i, 'Positions'), value: positionsText(at) },
      ]),
      { label: 'Norm', value: normText(preset) },
      { label: 'Origin', value: originText(preset) },
      { label: 'Made for', value: preset.model.name },
    ],
    explanation:
      'Both sides start from the same prompt with the same seed. KL is between the steered and the unsteered next-token ' +
      'distribution on the steered text so far, in nats.',
    exports: [
      { id: 'preset', label: 'Preset with its vectors', run: exportPreset },
      ...(request === null
        ? []
        : [
            {
              id: 'json',
              label: 'Copy as JSON',
              run: () => copyText(steerJson(request, model), 'The request'),
            },
          ]),
      ...(command === null
        ? []
        : [{ id: 'command', label: 'Copy command', run: () => copyText(command, 'The command line') }]),
    ],
  }
}
