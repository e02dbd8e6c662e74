/**
 * Writes SVG: shapes and text in colours that read on light and on dark, numbers with one decimal, so that the same data gives the same bytes. Text stays text.
 */

const STYLE = `<style>
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#24292f}
.title{font-size:15px;font-weight:600}.name{font-weight:600}.small{font-size:11px}.quiet{fill:#57606a}
.grid{stroke:#8c959f;stroke-opacity:.25}.one{stroke:#57606a;stroke-dasharray:4 3}.aim{stroke:#24292f;stroke-width:2.5}.line{fill:none;stroke-width:2}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#9198a1}.one{stroke:#9198a1}.aim{stroke:#f0f6fc}}
</style>`

export const n = (value: number): string => String(Number(value.toFixed(1)))
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

export type Anchor = 'start' | 'middle' | 'end'

export class Chart {
  readonly #width: number
  readonly #height: number
  readonly #title: string
  readonly #parts: string[] = []

  constructor(width: number, height: number, title: string) {
    this.#width = width
    this.#height = height
    this.#title = title
    this.text(16, 26, title, 'title')
  }

  text(x: number, y: number, text: string, style = '', anchor: Anchor = 'start'): void {
    const classes = style === '' ? '' : ` class="${style}"`
    const placed = anchor === 'start' ? '' : ` text-anchor="${anchor}"`
    this.#parts.push(`<text x="${n(x)}" y="${n(y)}"${classes}${placed}>${escaped(text)}</text>`)
  }

  /** The tip is what a reader's pointer shows. */
  bar(x: number, y: number, width: number, height: number, colour: string, tip: string): void {
    const size = `width="${n(Math.max(width, 0.5))}" height="${n(height)}"`
    this.#parts.push(`<rect x="${n(x)}" y="${n(y)}" ${size} rx="1.5" fill="${colour}"><title>${escaped(tip)}</title></rect>`)
  }

  line(x1: number, y1: number, x2: number, y2: number, style: string): void {
    this.#parts.push(`<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" class="${style}"/>`)
  }

  /** `width`: of a line that is to stand out. */
  path(points: readonly (readonly [number, number])[], colour: string, width?: number): void {
    const style = width === undefined ? '' : ` style="stroke-width:${n(width)}"`
    this.#parts.push(`<polyline points="${points.map(([x, y]) => `${n(x)},${n(y)}`).join(' ')}" class="line" stroke="${colour}"${style}/>`)
  }

  /** Small squares with names, from x on in one row. */
  legend(x: number, y: number, entries: readonly (readonly [name: string, colour: string])[]): void {
    let at = x
    for (const [name, colour] of entries) {
      this.bar(at, y - 9, 10, 10, colour, name)
      this.text(at + 15, y, name, 'small')
      at += 15 + name.length * 6.5 + 18
    }
  }

  toString(): string {
    const { width, height } = { width: this.#width, height: this.#height }
    const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`
    return `${open}\n<title>${escaped(this.#title)}</title>\n${STYLE}\n${this.#parts.join('\n')}\n</svg>\n`
  }
}
