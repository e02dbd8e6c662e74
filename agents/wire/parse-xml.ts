/**
 * Turns nvidia-smi's XML into elements. What stands around the log (news of lost GPUs before it, warnings behind it) is cut off. Clocks to choose from and
 * processes are left out before parsing: they are most of the text, and a process may name itself in words that are not XML. Any other fault makes the
 * whole answer unusable, so that half of it is never taken for all.
 */
import { type XmlElement as Node, parseXml, XmlElement } from '@rgrove/parse-xml'
import type { XmlElement as Element } from '../gpu/read-details.ts'

const ROOT = 'nvidia_smi_log'
const LEFT_OUT = ['supported_clocks', 'processes', 'accounted_processes']

/** Undefined when there is no whole log in the text. */
export function parseLog(text: string): Element | undefined {
  const from = text.indexOf(`<${ROOT}>`)
  const end = `</${ROOT}>`
  const to = text.lastIndexOf(end)
  if (from < 0 || to < from) return undefined
  try {
    const { root } = parseXml(LEFT_OUT.reduce(without, text.slice(from, to + end.length)))
    return root === null ? undefined : plain(root)
  } catch {
    return undefined
  }
}

/** One walk through the text, also where an element is never closed. */
function without(text: string, name: string): string {
  const kept: string[] = []
  let at = 0
  for (;;) {
    const from = text.indexOf(`<${name}>`, at)
    const to = from < 0 ? -1 : text.indexOf(`</${name}>`, from)
    if (to < 0) break
    kept.push(text.slice(at, from))
    at = to + name.length + 3
  }
  return kept.join('') + text.slice(at)
}

function plain(node: Node): Element {
  const children = node.children.filter((child) => child instanceof XmlElement)
  return {
    name: node.name,
    // Of an element that holds others the text is only the space between them.
    text: children.length > 0 ? '' : node.text.trim(),
    children: children.map(plain),
  }
}
