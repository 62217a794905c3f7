/** Lists that another view changes are asked for again when a person comes back. */
import { onActivated, onDeactivated } from 'vue'
import type { Query } from '../../queries/query'

/** To be called while a component is set up. */
export function askedAgain({ retry }: Pick<Query<unknown>, 'retry'>): void {
  let away = false
  onDeactivated(() => (away = true))
  onActivated(() => {
    if (away) retry()
    away = false
  })
}
