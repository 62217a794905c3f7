/** Whether this Node is new enough; has to run on any that is not. */

export const requiredNode = [20, 19]

/**
 * @param {string} version as in `process.versions.node`
 * @returns {string | null} what is wrong, or null
 */
export function nodeProblem(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [needMajor, needMinor] = requiredNode
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return null
  return `Patchbay needs Node ${needMajor}.${needMinor} or newer; this is Node ${version}.`
}
