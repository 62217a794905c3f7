/** Opens a row's prompt in another view: the same text, as the collection encoded it. */
import type { Collection, CollectionRow } from '../../../../preload/collections'
import { useModels } from '../../../stores/models'
import { useNotices } from '../../../stores/notices'
import { usePrompt, type SlotName } from '../../../stores/prompt'
import { useSelection } from '../../../stores/selection'
import { useView } from '../../../stores/view'
import type { ViewName } from '../../../../preload/shell'

export interface PromptOpener {
  /** @param ids token ids of the row; a text that another model or template tokenises otherwise is said */
  open: (
    row: Pick<CollectionRow, 'text'>,
    ids: readonly number[],
    target: { slot: SlotName; view: ViewName; position?: number },
  ) => Promise<void>
}

export function usePromptOpener(collection: () => Collection): PromptOpener {
  const prompt = usePrompt()
  const models = useModels()
  const notices = useNotices()
  const selection = useSelection()
  const view = useView()
  return {
    async open(row, ids, { slot, view: name, position }) {
      const { dataset, fingerprint, modelName } = collection()
      const draft = prompt.drafts[slot]
      draft.kind = 'text'
      draft.text = row.text
      // A chat's text is what the template wrote, with everything around it.
      draft.bos = dataset.prompt.kind === 'chat' || dataset.prompt.kind === 'messages' ? 'never' : dataset.bos
      view.show(name)
      await prompt.encode(slot)
      const tokens = prompt.slots[slot].tokens
      if (models.current?.fingerprint !== fingerprint)
        notices.warn(`The collection is of ${modelName}; the prompt is shown in the model that is open.`)
      else if (tokens !== null && tokens.join() !== ids.join())
        notices.warn(
          'The prompt has other tokens here than in the collection: there it was cut or made otherwise.',
        )
      if (position !== undefined && slot === 'A') selection.select({ position })
    },
  }
}
