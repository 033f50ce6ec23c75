import { refreshReadme } from './report/readme.ts'

// `node bench/table.ts`: writes the kept results into the README anew, e.g. after a merge.
refreshReadme()
