/** Mounts a view as the app does: stores, an open model, a prompt, an engine, a shell that remembers what it was asked. */
import { mount, type VueWrapper } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { TooltipProvider } from 'reka-ui'
import { h, type Component } from 'vue'
import { setServices } from '../../../renderer/services'
import { useEngine } from '../../../renderer/stores/engine'
import { useModels } from '../../../renderer/stores/models'
import { usePrompt } from '../../../renderer/stores/prompt'
import { useSelection } from '../../../renderer/stores/selection'
import { FakeShell } from './fake-shell'
import { syntheticEngine, type SyntheticEngine } from './synthetic-engine'

/** A shell whose file dialog gives a file. */
export class ShellWithFiles extends FakeShell {
  /** What the next dialog gives; null closes it. */
  toOpen: { name: string; bytes: Uint8Array } | null = null

  override async openFile(): Promise<{ name: string; bytes: Uint8Array } | null> {
    return this.toOpen
  }
}

export interface MountedView {
  view: VueWrapper
  engine: SyntheticEngine
  shell: ShellWithFiles
}

/** Prepares stores and services; without mounting, for composables and stores under test. */
export async function openSynthetic(
  engine: SyntheticEngine = syntheticEngine(),
  prompt = 'When Mary and John went to the store , John gave a drink to',
): Promise<{ engine: SyntheticEngine; shell: ShellWithFiles }> {
  setActivePinia(createPinia())
  const shell = new ShellWithFiles()
  setServices({ engine, shell })
  const process = useEngine()
  process.setState({ status: 'ready', generation: 1, reason: null, stderr: null })
  process.setConnected(true)
  useModels().current = engine.model
  const prompts = usePrompt()
  prompts.drafts.A.text = prompt
  prompts.drafts.B.text = ''
  await prompts.encode('A')
  useSelection().reset({
    layers: engine.model.layers,
    heads: engine.model.heads,
    positions: prompts.slots.A.tokens?.length ?? 1,
  })
  return { engine, shell }
}

export async function mountView(
  component: Component,
  engine?: SyntheticEngine,
  prompt?: string,
): Promise<MountedView> {
  const opened = await openSynthetic(engine, prompt)
  const view = mount(
    { render: () => h(TooltipProvider, null, { default: () => h(component) }) },
    { attachTo: document.body },
  )
  return { view, ...opened }
}

/** Until everything that is resolved already has reached the document. */
export async function settle(turns = 8): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setTimeout(resolve, 0))
}
