// Arrays as PostgreSQL writes them (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO). The client would look at every character for
// one that needs a quote: for ids and numbers, by the hundred in every statement of the queue, there is none.

/** Of ids or numbers only: nothing is quoted. */
export const arrayOf = (values: readonly (string | number)[]): string => `{${values.join(',')}}`

/** A `text[]` whose elements are arrays of numbers. */
export const arrayOfArrays = (lists: readonly (readonly number[])[]): string => `{${lists.map((list) => `"{${list.join(',')}}"`).join(',')}}`
