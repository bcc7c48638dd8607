// `tree` builds elements with createElement instead of innerHTML: the page works under Trusted Types without any policy.
export default { compilerOptions: { runes: true, fragments: 'tree' } };
