/** The table of gradient rules: by its type, an operator that the builders emit without a rule does not compile. */
import { activations } from './activations'
import { arithmetic } from './arithmetic'
import { attention } from './attention'
import { indexing } from './indexing'
import { layout } from './layout'
import { norms } from './norms'
import { products } from './products'
import { reductions } from './reductions'
import type { Rules } from './rule'

export const rules: Rules = {
  ...arithmetic,
  ...activations,
  ...products,
  ...reductions,
  ...layout,
  ...indexing,
  ...norms,
  ...attention,
}
