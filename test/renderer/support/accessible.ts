/** axe-core over all that is mounted; colours are checked elsewhere, as happy-dom computes none. */
import axe from 'axe-core'

/** The violations under `root` as readable lines; none is good. */
export async function violations(root: Element = document.body): Promise<string[]> {
  const { violations: found } = await axe.run(root, {
    rules: { 'color-contrast': { enabled: false }, region: { enabled: false } },
  })
  return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)}`))
}
