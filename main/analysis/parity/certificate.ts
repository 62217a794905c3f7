/** Makes parity certificates, and says in one line what those of a combination come to. */
import {
  exactGroups,
  type Certificate,
  type CertificateGroup,
  type CertificateSource,
} from '../../../preload/certificate'
import type { CertificateSummary } from '../../../preload/run'
import { fileDigest } from '../../models/fingerprint'
import type { CheckOptions } from './check'
import { graded } from './groups'
import type { PromptSubject } from './prompt-case'
import { checkReference, suppliedReference } from './reference'
import { selfCheck, type SelfCheckModel } from './self-checks'
import { tolerances, toleranceOn } from './tolerances'

/** An open model as certificates need it. */
export interface ParityModel extends PromptSubject, SelfCheckModel {
  readonly facts: PromptSubject['facts']
}

/** What computes; numbers of other versions are other numbers. */
export interface Versions {
  readonly patchbay: string
  readonly onnxruntime: string
}

/** Versions and time of a new certificate. */
export interface Stamp extends Versions {
  /** ISO 8601. */
  readonly date: string
}

/**
 * Compares a model with what a person supplies.
 * @param place see `suppliedReference`
 * @throws PatchbayError `file.*`, `model.mismatch`, and what runs throw; a model that is off is no error but a certificate
 *   that says so
 */
export async function certifyAgainst(
  model: ParityModel,
  place: string,
  stamp: Stamp,
  options: CheckOptions = {},
): Promise<Certificate> {
  const reference = await suppliedReference(place)
  const sha256 = await fileDigest(reference.tensors, options.signal)
  const { groups } = await checkReference(model, reference, options)
  const { name, computedIn } = reference
  const source: CertificateSource = {
    kind: 'reference',
    name: name.slice(0, 1000),
    sha256,
    computedIn: computedIn?.slice(0, 100) ?? null,
  }
  return certificateOf(
    model,
    stamp,
    source,
    graded(groups, toleranceOn(model.facts.provider, tolerances.model)),
    [],
  )
}

/** Checks a model against itself. @throws PatchbayError as `selfCheck` */
export async function certifyItself(
  model: ParityModel,
  stamp: Stamp,
  options: CheckOptions = {},
): Promise<Certificate> {
  const { groups, notes } = await selfCheck(model, options)
  return certificateOf(model, stamp, { kind: 'self-check' }, groups, notes)
}

function certificateOf(
  { facts }: ParityModel,
  { patchbay, onnxruntime, date }: Stamp,
  source: CertificateSource,
  groups: CertificateGroup[],
  notes: string[],
): Certificate {
  return {
    format: 'patchbay.certificate',
    version: 1,
    fingerprint: facts.fingerprint,
    modelName: facts.name.slice(0, 1000),
    precision: facts.precision,
    provider: facts.provider,
    patchbay,
    onnxruntime,
    date,
    source,
    groups,
    notes,
    passed: groups.every(({ passed }) => passed),
  }
}

/**
 * What the certificates of one combination come to: one that failed counts before all, then one against a reference,
 * then the newest. Certificates of other versions say nothing about what this one computes.
 */
export function summarise(
  certificates: readonly Certificate[],
  { patchbay, onnxruntime }: Versions,
): CertificateSummary | null {
  const weight = ({ passed, source }: Certificate): number =>
    (passed ? 0 : 2) + (source.kind === 'reference' ? 1 : 0)
  const [first] = certificates
    .filter((one) => one.patchbay === patchbay && one.onnxruntime === onnxruntime)
    .sort((a, b) => weight(b) - weight(a) || (a.date < b.date ? 1 : -1))
  return first === undefined ? null : summaryOf(first)
}

const summaryOf = ({ source, passed, groups, date }: Certificate): CertificateSummary => {
  const errors = groups.filter(({ group }) => !exactGroups.has(group)).map(({ worst }) => worst)
  const worst = errors.some((error) => error === null)
    ? null
    : Math.max(0, ...errors.map((error) => error ?? 0))
  return { source: source.kind, passed, worst, date }
}
