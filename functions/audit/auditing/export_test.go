package auditing

const DefaultConcurrency = defaultConcurrency
