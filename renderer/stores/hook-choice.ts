/**
 * Which hook point the layers view shows; other views choose one to be looked at there. It follows the shared selection from
 * layer to layer, and choosing one in a block makes that block the shared selection.
 */
import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import type { HookPointInfo } from '../../preload/model'
import { useModels } from './models'
import { useSelection } from './selection'

export const useHookChoice = defineStore('hook choice', () => {
  const models = useModels()
  const selection = useSelection()
  const site = ref('hook_resid_post')
  const outer = ref<string | null>(null)

  const byName = computed(() => new Map(models.current?.hookPoints.map((hook) => [hook.name, hook]) ?? []))
  const hook = computed<HookPointInfo | null>(() => {
    const inBlock = `blocks.${selection.current.layer}.${site.value}`
    return (
      (outer.value === null ? undefined : byName.value.get(outer.value)) ??
      byName.value.get(inBlock) ??
      byName.value.get(`blocks.${selection.current.layer}.hook_resid_post`) ??
      null
    )
  })

  function choose(name: string): void {
    const chosen = byName.value.get(name)
    if (chosen === undefined) return
    if (chosen.layer === null) {
      outer.value = name
      return
    }
    outer.value = null
    site.value = chosen.site
    const point = chosen.site === 'hook_resid_pre' ? chosen.layer : chosen.layer + 1
    selection.select({ layer: chosen.layer, ...(chosen.site.startsWith('hook_resid') ? { point } : {}) })
  }
  // Another layer selected elsewhere: leave the embedding or the final norm for the same place in that block.
  watch(
    () => selection.current.layer,
    () => {
      outer.value = null
    },
  )
  return { hook, choose }
})
