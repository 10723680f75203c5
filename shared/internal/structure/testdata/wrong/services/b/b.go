package b

const answer = 42
