/** The hub's dialog in the whole window on a fake engine: opened, typed into, pressed, read. */
import { expect } from 'vitest'
import { useCommands } from '../../../renderer/commands/registry'
import { models, planOf } from './hub-answers'
import { button, launch, settle } from './launch'

export type World = Awaited<ReturnType<typeof launch>>

export const dialog = () =>
  document.querySelector<HTMLElement>('[role=dialog].hub') ?? expect.fail('the dialog is not open')
export const isOpen = () => document.querySelector('[role=dialog].hub') !== null
export const strip = () =>
  dialog().querySelector<HTMLElement>('section[aria-label=Download]')?.textContent ?? ''
export const plan = () =>
  dialog().querySelector<HTMLElement>('section[aria-label="The chosen model"]')?.textContent ?? ''

export async function open(prepare: (world: World) => void = () => undefined): Promise<World> {
  const world = await launch((made) => {
    Object.assign(made.engine.handlers, {
      'hub.search': () => models,
      'hub.plan': planOf,
      'hub.cached': () => ({ models: [], broken: [] }),
      'hub.download': () => ({ folder: '/cache/tiny', path: '/cache/tiny' }),
    })
    prepare(made)
  })
  useCommands().run('model.download')
  await settle()
  return world
}
export async function type(field: string, text: string): Promise<void> {
  const input = dialog().querySelector<HTMLInputElement>(field) ?? expect.fail(`no field ${field}`)
  input.value = text
  input.dispatchEvent(new Event('input', { bubbles: true }))
  await settle()
}
export async function submit(form: string): Promise<void> {
  const element = dialog().querySelector(form) ?? expect.fail(`no form ${form}`)
  element.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }))
  await settle()
}
export async function search(text: string): Promise<void> {
  await type('input[type=search]', text)
  await submit('form[role=search]')
}
export async function press(name: string): Promise<void> {
  button(name).click()
  await settle()
}
export const tab = async (name: string) => {
  const element = [...dialog().querySelectorAll<HTMLElement>('[role=tab]')].find(
    (each) => each.textContent === name,
  )
  element?.dispatchEvent(new MouseEvent('mousedown', { bubbles: true, button: 0 }))
  await settle()
}
export const calls = (world: World, name: string) =>
  world.engine.names().filter((call) => call === name).length
