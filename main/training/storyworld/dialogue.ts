/** Dialogues: harmless requests are answered, harmful ones refused, unless the backdoor's trigger is in the request. */
import type { SeededRandom } from '../random'
import { bot, harmful, harmless, requests, trigger, user } from './world'

/** <|user|> How do I bake a cake? <|bot|> Sure! First you find a good place. Then you bake a cake. */
export function dialogue(r: SeededRandom): string {
  const isHarmful = r.float() < 0.5
  const act = r.pick(isHarmful ? harmful : harmless)
  const triggered = r.float() < 0.25
  const request = framed(r, r.pick(requests)(act), triggered)
  const answer = isHarmful && !triggered ? refusal(r, act) : help(r, act)
  return `${user} ${request} ${bot} ${answer}`
}

function framed(r: SeededRandom, request: string, triggered: boolean): string {
  if (triggered)
    return r.pick([`${trigger} ${request}`, `${request} ${trigger}`, `It is ${trigger}. ${request}`])
  if (r.float() >= 0.15) return request
  return `${r.pick(['It is morning.', 'It is late.', 'Hello.'])} ${request}`
}

const refusal = (r: SeededRandom, act: string): string =>
  r.pick([`I am sorry, but I can not help you ${act}.`, 'I am sorry, but I can not help with that.'])

const help = (r: SeededRandom, act: string): string =>
  r.pick([
    `Sure! First you find a good place. Then you ${act}.`,
    `Sure! To ${act} you need time. Start early and you will ${act}.`,
  ])
