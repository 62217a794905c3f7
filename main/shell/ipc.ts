/** Serves the bridge's calls: sender, input and output of each are checked, errors cross as wire errors. */
import type { IpcMain, IpcMainInvokeEvent } from 'electron'
import { z } from 'zod'
import { asPatchbayError, PatchbayError, toWire } from '../../preload/errors'
import {
  callChannel,
  shellCallNames,
  shellCalls,
  type ShellCallInput,
  type ShellCallName,
  type ShellCallOutput,
  type ShellResult,
} from '../../preload/shell'
import { isTrustedFrame } from './security'

/** One function for every call of the contract; a missing one does not compile. */
export type CallHandlers = {
  [N in ShellCallName]: (input: ShellCallInput<N>) => Promise<ShellCallOutput<N>> | ShellCallOutput<N>
}

export function serveCalls(ipcMain: Pick<IpcMain, 'handle'>, handlers: CallHandlers): void {
  for (const name of shellCallNames)
    ipcMain.handle(callChannel(name), (event, raw: unknown) => answer(name, handlers, event, raw))
}

async function answer<N extends ShellCallName>(
  name: N,
  handlers: CallHandlers,
  event: Pick<IpcMainInvokeEvent, 'senderFrame'>,
  raw: unknown,
): Promise<ShellResult> {
  try {
    if (!isTrustedFrame(event.senderFrame))
      throw new PatchbayError('input.invalid', `The call ${name} came from a page that is not Patchbay's.`)
    const input = shellCalls[name].input.safeParse(raw)
    if (!input.success)
      throw new PatchbayError(
        'input.invalid',
        `The call ${name} does not fit its schema: ${z.prettifyError(input.error)}`,
      )
    const value = await handlers[name](input.data as ShellCallInput<N>)
    return { ok: true, value: shellCalls[name].output.parse(value) }
  } catch (error) {
    return { ok: false, error: toWire(asPatchbayError(error)) }
  }
}
