BEGIN TRANSACTION;
CREATE TABLE activity (
	agent TEXT NOT NULL, 
	bucket INTEGER NOT NULL, 
	permitted INTEGER NOT NULL, 
	denied INTEGER NOT NULL, 
	held INTEGER NOT NULL, 
	spend_micros INTEGER NOT NULL, 
	last_at INTEGER NOT NULL, 
	CONSTRAINT pk_activity PRIMARY KEY (agent, bucket)
);
INSERT INTO "activity" VALUES('clerk',5984254,1,0,1,0,1795276221749039);
CREATE TABLE budget_balances (
	scope TEXT NOT NULL, 
	period TEXT NOT NULL, 
	period_key TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	opened_at INTEGER NOT NULL, 
	bucket INTEGER NOT NULL, 
	posted_tool_calls INTEGER NOT NULL, 
	posted_input_tokens INTEGER NOT NULL, 
	posted_output_tokens INTEGER NOT NULL, 
	posted_tokens INTEGER NOT NULL, 
	posted_spend INTEGER NOT NULL, 
	held_tool_calls INTEGER NOT NULL, 
	held_input_tokens INTEGER NOT NULL, 
	held_output_tokens INTEGER NOT NULL, 
	held_tokens INTEGER NOT NULL, 
	held_spend INTEGER NOT NULL, 
	cap_tool_calls INTEGER NOT NULL, 
	cap_input_tokens INTEGER NOT NULL, 
	cap_output_tokens INTEGER NOT NULL, 
	cap_tokens INTEGER NOT NULL, 
	cap_spend INTEGER NOT NULL, 
	topped_tool_calls INTEGER NOT NULL, 
	topped_input_tokens INTEGER NOT NULL, 
	topped_output_tokens INTEGER NOT NULL, 
	topped_tokens INTEGER NOT NULL, 
	topped_spend INTEGER NOT NULL, 
	refused_tool_calls INTEGER NOT NULL, 
	refused_input_tokens INTEGER NOT NULL, 
	refused_output_tokens INTEGER NOT NULL, 
	refused_tokens INTEGER NOT NULL, 
	refused_spend INTEGER NOT NULL, 
	asked_tool_calls INTEGER NOT NULL, 
	asked_input_tokens INTEGER NOT NULL, 
	asked_output_tokens INTEGER NOT NULL, 
	asked_tokens INTEGER NOT NULL, 
	asked_spend INTEGER NOT NULL, 
	recent_tool_calls INTEGER NOT NULL, 
	recent_input_tokens INTEGER NOT NULL, 
	recent_output_tokens INTEGER NOT NULL, 
	recent_tokens INTEGER NOT NULL, 
	recent_spend INTEGER NOT NULL, 
	earlier_tool_calls INTEGER NOT NULL, 
	earlier_input_tokens INTEGER NOT NULL, 
	earlier_output_tokens INTEGER NOT NULL, 
	earlier_tokens INTEGER NOT NULL, 
	earlier_spend INTEGER NOT NULL, 
	CONSTRAINT pk_budget_balances PRIMARY KEY (scope, period, period_key)
);
INSERT INTO "budget_balances" VALUES('run/run_01m7zctb9n176qfk7hyvyefwyc','run','run_01m7zctb9n176qfk7hyvyefwyc','clerk',1795276221749039,498687,1,0,0,0,0,0,0,0,0,0,1000000,4611686018427387904,4611686018427387904,4611686018427387904,4611686018427387904,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0);
CREATE TABLE budget_holds (
	decision TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	run TEXT NOT NULL, 
	accounts TEXT NOT NULL, 
	state TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	expires_at INTEGER NOT NULL, 
	resolved_at INTEGER, 
	reserved_tool_calls INTEGER NOT NULL, 
	reserved_input_tokens INTEGER NOT NULL, 
	reserved_output_tokens INTEGER NOT NULL, 
	reserved_tokens INTEGER NOT NULL, 
	reserved_spend INTEGER NOT NULL, 
	posted_tool_calls INTEGER NOT NULL, 
	posted_input_tokens INTEGER NOT NULL, 
	posted_output_tokens INTEGER NOT NULL, 
	posted_tokens INTEGER NOT NULL, 
	posted_spend INTEGER NOT NULL, 
	CONSTRAINT pk_budget_holds PRIMARY KEY (decision)
);
INSERT INTO "budget_holds" VALUES('dec_01m7zctb9n176qfk7hyxhbwvbz','clerk','run_01m7zctb9n176qfk7hyvyefwyc','run/run_01m7zctb9n176qfk7hyvyefwyc run run_01m7zctb9n176qfk7hyvyefwyc','settled',1795276221749039,1795277121749039,1795276221749039,1,0,0,0,0,1,0,0,0,0);
CREATE TABLE budget_spenders (
	scope TEXT NOT NULL, 
	period TEXT NOT NULL, 
	period_key TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	actions INTEGER NOT NULL, 
	posted_tool_calls INTEGER NOT NULL, 
	posted_input_tokens INTEGER NOT NULL, 
	posted_output_tokens INTEGER NOT NULL, 
	posted_tokens INTEGER NOT NULL, 
	posted_spend INTEGER NOT NULL, 
	CONSTRAINT pk_budget_spenders PRIMARY KEY (scope, period, period_key, agent)
);
CREATE TABLE credentials (
	secret_hash TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	expires_at INTEGER NOT NULL, 
	revoked_at INTEGER, 
	CONSTRAINT pk_credentials PRIMARY KEY (secret_hash)
);
INSERT INTO "credentials" VALUES('d4f4f01a0c4cf8a3b9e60ae0f8948e612fb6b402165a85e87f2957d32dd7fc6b','clerk',1795276221749039,1797868221749039,NULL);
CREATE TABLE decisions (
	decision TEXT NOT NULL, 
	at INTEGER NOT NULL, 
	agent TEXT NOT NULL, 
	run TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	request TEXT, 
	idempotency_key TEXT, 
	epoch INTEGER NOT NULL, 
	outcome TEXT, 
	settled_at INTEGER, 
	input_tokens INTEGER NOT NULL, 
	output_tokens INTEGER NOT NULL, 
	cost_micros INTEGER NOT NULL, 
	result_digest TEXT, 
	error TEXT, 
	CONSTRAINT pk_decisions PRIMARY KEY (decision)
);
INSERT INTO "decisions" VALUES('dec_01m7zctb9n176qfk7hyxhbwvbz',1795276221749039,'clerk','run_01m7zctb9n176qfk7hyvyefwyc',1,'tool','books.lookup_charge','{"charge_id":"ch_1"}','sha256:74b8cc00b4c8b960751c64d252d66fe3667c1ab2641f1413907a684ac25dc5c6','permit','policy/contracts-permit','permitted by policy',NULL,NULL,0,'succeeded',1795276221749039,0,0,0,NULL,NULL);
INSERT INTO "decisions" VALUES('dec_01m7zctb9n176qfk7hz48vg77a',1795276221749039,'clerk','run_01m7zctb9n176qfk7hyvyefwyc',1,'tool','books.create_refund','{"amount_usd":250,"charge_id":"ch_1"}','sha256:01976abe1d608f41206c0687b3bfaa5d495c2c26da13976e47f3afd03be0489c','hold','policy/refund-over-200','held for finance-ops: A refund of more than $200 needs finance-ops.','req_01m7zctb9n176qfk7hz7xk7as9',NULL,0,NULL,NULL,0,0,0,NULL,NULL);
CREATE TABLE documents (
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	digest TEXT NOT NULL, 
	path TEXT NOT NULL, 
	text TEXT NOT NULL, 
	body TEXT NOT NULL, 
	current INTEGER NOT NULL, 
	applied_at INTEGER NOT NULL, 
	applied_by TEXT NOT NULL, 
	CONSTRAINT pk_documents PRIMARY KEY (kind, name, version)
);
INSERT INTO "documents" VALUES('agent','clerk',1,'sha256:06c0091dccad46407e333fe203561397cd5158dd98b57a90a41d3d8268574428','document-0.yaml','agent:
  name: clerk
  owner: finance-ops
  namespace: default
  mission: Answer customers who ask for their money back.
  model_routing: {default: small-fast}
  budgets: {"max_steps": 1000000, "max_input_tokens": 1000000000, "max_output_tokens": 1000000000, "max_cost_usd_per_run": 100000}
  tools:
    allowlist: [{name: books.lookup_charge}, {name: books.create_refund}, {name: books.fail}, {name: books.wait}, {name: books.hostile}, {name: books.echo}]
  approvals: {role: finance-ops, escalation: finance, sla_seconds: 900, hold_seconds: 0}
  identity: {mode: own, token_ttl_seconds: 900}
','{"approvals":{"escalation":"finance","hold_seconds":0,"role":"finance-ops","sla_seconds":900},"budgets":{"max_cost_usd_per_run":100000,"max_input_tokens":1000000000,"max_output_tokens":1000000000,"max_steps":1000000},"identity":{"mode":"own","token_ttl_seconds":900},"mission":"Answer customers who ask for their money back.","model_routing":{"default":"small-fast"},"name":"clerk","namespace":"default","owner":"finance-ops","tools":{"allowlist":[{"name":"books.lookup_charge"},{"name":"books.create_refund"},{"name":"books.fail"},{"name":"books.wait"},{"name":"books.hostile"},{"name":"books.echo"}]}}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('escalation','finance',1,'sha256:552473c1ffbfd40022d501f7cef62393bb3c6a11a92af3b2e9188af840cb7cd1','document-2.yaml','escalation:
  name: finance
  remind_every_seconds: 120
  levels:
    - {role: finance-ops, after_seconds: 0}
    - {role: finance-lead, after_seconds: 300}
','{"levels":[{"after_seconds":0,"role":"finance-ops"},{"after_seconds":300,"role":"finance-lead"}],"name":"finance","remind_every_seconds":120}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('model','small-fast',1,'sha256:b42582f219728b6d2bff11a47be8ebcd45ccb57fdddbf71a7c7724ec4db42e81','document-4.yaml','model: {name: small-fast, provider: local, provider_model: small-1}
','{"name":"small-fast","provider":"local","provider_model":"small-1"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('policy','policy',1,'sha256:d5be01c140a3f8e8dcd6de9bf52a472e26a81031a18904616a78e17650d5f076','policy.cedar','
@id("contracts-permit")
permit (principal, action, resource);

@id("refund-over-200")
@message("A refund of more than $200 needs finance-ops.")
@obligation("require_approval")
@approver_role("finance-ops")
@escalation("finance")
@sla("15m")
@risk("high")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.create_refund")
when { context.amount_micros > 200000000 }
unless { context.approvals.contains("finance-ops") };

@id("refund-never-over-1000")
@message("No agent refunds more than $1,000.")
forbid (principal, action == Action::"use_tool", resource == Tool::"books.create_refund")
when { context.amount_micros > 1000000000 };
','{"name":"policy","text":"\n@id(\"contracts-permit\")\npermit (principal, action, resource);\n\n@id(\"refund-over-200\")\n@message(\"A refund of more than $200 needs finance-ops.\")\n@obligation(\"require_approval\")\n@approver_role(\"finance-ops\")\n@escalation(\"finance\")\n@sla(\"15m\")\n@risk(\"high\")\nforbid (principal, action == Action::\"use_tool\", resource == Tool::\"books.create_refund\")\nwhen { context.amount_micros > 200000000 }\nunless { context.approvals.contains(\"finance-ops\") };\n\n@id(\"refund-never-over-1000\")\n@message(\"No agent refunds more than $1,000.\")\nforbid (principal, action == Action::\"use_tool\", resource == Tool::\"books.create_refund\")\nwhen { context.amount_micros > 1000000000 };\n"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('provider','local',1,'sha256:dd174a7ef2e5f5f7eeca89a5c602fb69d216d44d0fad0138093ec4d6a0ddb5b4','document-4.yaml','provider:
  name: local
  base_url: http://127.0.0.1:9/v1
  models:
    - name: small-1
      input_usd_per_million: 0.40
      output_usd_per_million: 1.60
      context_window: 32000
','{"base_url":"http://127.0.0.1:9/v1","models":[{"context_window":32000,"input_usd_per_million":0.4,"name":"small-1","output_usd_per_million":1.6}],"name":"local"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('role','finance-lead',1,'sha256:236b9abfb90119272629b565bf3d1d62bf35dd4d6f8f420c63af7bc295c719af','document-2.yaml','role: {name: finance-lead, members: [owner, edsger]}
','{"members":["owner","edsger"],"name":"finance-lead"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('role','finance-ops',1,'sha256:4a29d28a709581a97d6ae97b9594abc8f20d9752faf3e18e7c3492475c5769b2','document-2.yaml','role: {name: finance-ops, members: [owner, grace]}
','{"members":["owner","grace"],"name":"finance-ops"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('tool','books.close_account',1,'sha256:11c8dc59922c992a93c96df6bd82f0c91fa469f304b16e988b58f982cb9966a5','document-1.yaml','tool:
  name: books.close_account
  upstream: books
  upstream_tool: echo
  does: Closes the account.
  access: write
  risk: critical
','{"access":"write","does":"Closes the account.","name":"books.close_account","risk":"critical","upstream":"books","upstream_tool":"echo"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('tool','books.create_refund',1,'sha256:dbfc57bf53924353a8e11e50aed4047d311e04aad875a7d5232a101159c8759e','document-1.yaml','tool:
  name: books.create_refund
  upstream: books
  upstream_tool: create_refund
  does: Refund part or all of a charge.
  access: write
  risk: high
  amount_usd: amount_usd
  business_object: {kind: charge, id: charge_id}
  blast_radius: One charge of one customer.
  rollback: Refunds cannot be taken back; charge again with the customer''s consent.
  input_schema:
    type: object
    properties:
      charge_id: {type: string, pattern: "^ch_[0-9]+$"}
      amount_usd: {type: number, exclusiveMinimum: 0}
      reason: {type: string, maxLength: 500}
    required: [charge_id, amount_usd]
    additionalProperties: false
  never:
    - {argument: reason, pattern: "gift ?card", why: Refunds go back the way the money came.}
  preview:
    tool: books.lookup_charge
    arguments: {charge_id: charge_id}
    changes: [{field: refunded_usd, after: amount_usd}]
','{"access":"write","amount_usd":"amount_usd","blast_radius":"One charge of one customer.","business_object":{"id":"charge_id","kind":"charge"},"does":"Refund part or all of a charge.","input_schema":{"additionalProperties":false,"properties":{"amount_usd":{"exclusiveMinimum":0,"type":"number"},"charge_id":{"pattern":"^ch_[0-9]+$","type":"string"},"reason":{"maxLength":500,"type":"string"}},"required":["charge_id","amount_usd"],"type":"object"},"name":"books.create_refund","never":[{"argument":"reason","pattern":"gift ?card","why":"Refunds go back the way the money came."}],"preview":{"arguments":{"charge_id":"charge_id"},"changes":[{"after":"amount_usd","field":"refunded_usd"}],"tool":"books.lookup_charge"},"risk":"high","rollback":"Refunds cannot be taken back; charge again with the customer''s consent.","upstream":"books","upstream_tool":"create_refund"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('tool','books.echo',1,'sha256:21da34547702fdd97a414b976c23b2ebf41b2ba46b396c527a46039ce5a7eede','document-1.yaml','tool:
  name: books.echo
  upstream: books
  upstream_tool: echo
  does: Repeats.
  access: read
  risk: low
','{"access":"read","does":"Repeats.","name":"books.echo","risk":"low","upstream":"books","upstream_tool":"echo"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('tool','books.fail',1,'sha256:c2a99a3f852ca8e1d49667bb76f8297ba2703eb1401dec3824406b0f9f614671','document-1.yaml','tool:
  name: books.fail
  upstream: books
  upstream_tool: fail
  does: Always fails.
  access: read
  risk: low
','{"access":"read","does":"Always fails.","name":"books.fail","risk":"low","upstream":"books","upstream_tool":"fail"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('tool','books.hostile',1,'sha256:bccfb6e8d736d329518913bc84e6cae486b6fca0b1244c118e05dc87d06993f7','document-1.yaml','tool:
  name: books.hostile
  upstream: books
  upstream_tool: hostile
  does: Answers badly.
  access: read
  risk: low
','{"access":"read","does":"Answers badly.","name":"books.hostile","risk":"low","upstream":"books","upstream_tool":"hostile"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('tool','books.lookup_charge',1,'sha256:f47d20b1b8de3d1496e6530611a1041716c79f9aceb9b7572ceb2e7f393a7c64','document-1.yaml','tool:
  name: books.lookup_charge
  upstream: books
  upstream_tool: lookup_charge
  does: Read one charge.
  access: read
  risk: low
','{"access":"read","does":"Read one charge.","name":"books.lookup_charge","risk":"low","upstream":"books","upstream_tool":"lookup_charge"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('tool','books.wait',1,'sha256:af9d6bf5aa393aff01cddf8a4b04dfdd12b2b60b8b77c96f9f70d57f42f4ef2c','document-1.yaml','tool:
  name: books.wait
  upstream: books
  upstream_tool: wait_until_told
  does: Waits.
  access: read
  risk: low
','{"access":"read","does":"Waits.","name":"books.wait","risk":"low","upstream":"books","upstream_tool":"wait_until_told"}',1,1795276221749039,'person/root');
INSERT INTO "documents" VALUES('upstream','books',1,'sha256:bd9f8141fe1e4b89a4a18ddfc94b1e7b01c3a180e14313e59554c73bf89af821','document-3.yaml','{"upstream": {"name": "books", "transport": "http", "url": "http://127.0.0.1:9/mcp"}}','{"name":"books","transport":"http","url":"http://127.0.0.1:9/mcp"}',1,1795276221749039,'person/root');
CREATE TABLE enrolments (
	secret_hash TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	expires_at INTEGER NOT NULL, 
	redeemed_at INTEGER, 
	CONSTRAINT pk_enrolments PRIMARY KEY (secret_hash)
);
INSERT INTO "enrolments" VALUES('105a0eed65c673aa752b59ce2f2d6a9975a4766b027e6791f5dcdd356319e48c','clerk',1795276221749039,1795277121749039,1795276221749039);
CREATE TABLE events (
	sequence INTEGER NOT NULL, 
	at INTEGER NOT NULL, 
	type TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	agent TEXT, 
	run TEXT, 
	request TEXT, 
	body TEXT NOT NULL, 
	leaf_hash TEXT NOT NULL, 
	chain_hash TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (sequence)
);
INSERT INTO "events" VALUES(1,1795276221749039,'plane.started','plane','plane/plane-1',NULL,NULL,NULL,'{"port":35935,"version":"0.1.0"}','37c69c64aac41fcdd8c96ba40557ef3f99b42f9723f01aa59c53bcf8f4375342','6cd0aa614111d01fc07d06a864928b78afda43942676022e1455e37bcd0c4cd8');
INSERT INTO "events" VALUES(2,1795276221749039,'agent.applied','person/root','agent/clerk','clerk',NULL,NULL,'{"change":"create","digest":"sha256:06c0091dccad46407e333fe203561397cd5158dd98b57a90a41d3d8268574428","replaces":null,"version":1}','87a121572ebdf4bf33588556ce46840edf3c40918f7b501ecd5eb13612bc06a7','33f49c60bbf29ed5886a0575bee9602147a183ee1a8e1e86964ef26a5789aff6');
INSERT INTO "events" VALUES(3,1795276221749039,'escalation.applied','person/root','escalation/finance',NULL,NULL,NULL,'{"change":"create","digest":"sha256:552473c1ffbfd40022d501f7cef62393bb3c6a11a92af3b2e9188af840cb7cd1","replaces":null,"version":1}','79d040d54992ac28da18f39aa718794e9214d90c868cb0d13acf70925f816e10','87ed9e280a7c9ab1eba4a43cd2d39c2a097b37e1078d5222f83f802166082b64');
INSERT INTO "events" VALUES(4,1795276221749039,'model.applied','person/root','model/small-fast',NULL,NULL,NULL,'{"change":"create","digest":"sha256:b42582f219728b6d2bff11a47be8ebcd45ccb57fdddbf71a7c7724ec4db42e81","replaces":null,"version":1}','7dc30bc1316a3988843b13eb899a35cc118770784e26da5ab52ba81880d6de69','7c19fe0f5cbfecd3c8d0c3edef952b02b14e5ba0ae28eb97386a430b2cd7f663');
INSERT INTO "events" VALUES(5,1795276221749039,'policy.applied','person/root','policy/policy',NULL,NULL,NULL,'{"change":"create","digest":"sha256:d5be01c140a3f8e8dcd6de9bf52a472e26a81031a18904616a78e17650d5f076","replaces":null,"version":1}','ec359d838d7ce0eadae3e9c1d56094373a05a57fc25f7ad83b027533f56c3c74','4db9d7d08fdade85f2e7e704565e77af76dfee21dd57e7e49702833602b1b3da');
INSERT INTO "events" VALUES(6,1795276221749039,'provider.applied','person/root','provider/local',NULL,NULL,NULL,'{"change":"create","digest":"sha256:dd174a7ef2e5f5f7eeca89a5c602fb69d216d44d0fad0138093ec4d6a0ddb5b4","replaces":null,"version":1}','a8ef8dbe693421f6e00acb397931dd04bc0d00b557df1a43887611f617d572de','360dc419fbfc4456a1c9df78807406b9796d03dad319201dd86c705169f8e71d');
INSERT INTO "events" VALUES(7,1795276221749039,'role.applied','person/root','role/finance-lead',NULL,NULL,NULL,'{"change":"create","digest":"sha256:236b9abfb90119272629b565bf3d1d62bf35dd4d6f8f420c63af7bc295c719af","replaces":null,"version":1}','137a3ad90232000f49742f105c9b67dccd555ce307904e3007b84beb194b6e7d','13341673c05be381baa0c8a0c0b9d6aa7dde03d36cef0872ae01b0bcb6204596');
INSERT INTO "events" VALUES(8,1795276221749039,'role.applied','person/root','role/finance-ops',NULL,NULL,NULL,'{"change":"create","digest":"sha256:4a29d28a709581a97d6ae97b9594abc8f20d9752faf3e18e7c3492475c5769b2","replaces":null,"version":1}','e8e43b4d89008ab0c5e18d80209720da762fdb4cd49f9336a53a8b19c5f128aa','b84a4eedaea74efb02e530d35a3c9892d04702a658e6db9ddfb0345a9bdff79e');
INSERT INTO "events" VALUES(9,1795276221749039,'tool.applied','person/root','tool/books.close_account',NULL,NULL,NULL,'{"change":"create","digest":"sha256:11c8dc59922c992a93c96df6bd82f0c91fa469f304b16e988b58f982cb9966a5","replaces":null,"version":1}','ce012b3cc74a585ec4d18a04b013857c1e87ddbcbea106eb29baa3c1309543da','b00fa8a536159da79111c96fb0997fff498b97417d17044dbbf3d17f029c1665');
INSERT INTO "events" VALUES(10,1795276221749039,'tool.applied','person/root','tool/books.create_refund',NULL,NULL,NULL,'{"change":"create","digest":"sha256:dbfc57bf53924353a8e11e50aed4047d311e04aad875a7d5232a101159c8759e","replaces":null,"version":1}','8a954976ad999b4a157be92e95f87a797daa6018408539fd2b2edae5316250e5','cbd15013d87f39a0b7406eb4ea31d17d18f1fbddf6095c2368ad51da7868f5a8');
INSERT INTO "events" VALUES(11,1795276221749039,'tool.applied','person/root','tool/books.echo',NULL,NULL,NULL,'{"change":"create","digest":"sha256:21da34547702fdd97a414b976c23b2ebf41b2ba46b396c527a46039ce5a7eede","replaces":null,"version":1}','36cce14add6d87d8592f0231cfdc28251ed0c1644689aca02b538cdd4e489eb9','7cd145c45ca4fa2c7713ea91e90ad9a9b9a1abee7bc11376eefbe25c7ab11ff3');
INSERT INTO "events" VALUES(12,1795276221749039,'tool.applied','person/root','tool/books.fail',NULL,NULL,NULL,'{"change":"create","digest":"sha256:c2a99a3f852ca8e1d49667bb76f8297ba2703eb1401dec3824406b0f9f614671","replaces":null,"version":1}','6f7e607d35cf1301c77c9a8c561f6ec6add3a7bcfd2c54bb9694233bd03c2599','c92379e781cfe6d1f101213ca482088a66773605864f77f3af60a3befed845ff');
INSERT INTO "events" VALUES(13,1795276221749039,'tool.applied','person/root','tool/books.hostile',NULL,NULL,NULL,'{"change":"create","digest":"sha256:bccfb6e8d736d329518913bc84e6cae486b6fca0b1244c118e05dc87d06993f7","replaces":null,"version":1}','aca5ec1ad6c67708a6800b4bb35b3d2347f453dbe8a06aad98731ecd333fb5e5','e906db1ccc63dcf4b9f45515e619e19c83a4812fae290c7bc453b7441176aed2');
INSERT INTO "events" VALUES(14,1795276221749039,'tool.applied','person/root','tool/books.lookup_charge',NULL,NULL,NULL,'{"change":"create","digest":"sha256:f47d20b1b8de3d1496e6530611a1041716c79f9aceb9b7572ceb2e7f393a7c64","replaces":null,"version":1}','3d62b6cb021b49fd7d646da314590d928e741fefe89ec088f22ceb309e9e6a05','7d1d8184dadc2bcdcc5c3add66dbf668425f2f5fd18c82e4ccd5511ccd13b526');
INSERT INTO "events" VALUES(15,1795276221749039,'tool.applied','person/root','tool/books.wait',NULL,NULL,NULL,'{"change":"create","digest":"sha256:af9d6bf5aa393aff01cddf8a4b04dfdd12b2b60b8b77c96f9f70d57f42f4ef2c","replaces":null,"version":1}','b2016223ac6864fdfdbd6bc1fdc1cd6793b953198b07d45bd915d65d8d2c18b2','4e99cc3ce17f0a0e4d544cfd12459b8b7d2e341572ee4d11b89e556be6213ce6');
INSERT INTO "events" VALUES(16,1795276221749039,'upstream.applied','person/root','upstream/books',NULL,NULL,NULL,'{"change":"create","digest":"sha256:bd9f8141fe1e4b89a4a18ddfc94b1e7b01c3a180e14313e59554c73bf89af821","replaces":null,"version":1}','8fd7824bf4d255ee8c23c2f3db8b1f0921fbe0f4e677c2795fbde076cd8ebdda','7032b9cafef2936ab7b50ebb3414554623a14656b61db0898157bb6ff8af8876');
INSERT INTO "events" VALUES(17,1795276221749039,'agent.enrolment_issued','person/root','agent/clerk','clerk',NULL,NULL,'{"expires_at":1795277121749039}','255a2e2e6cc1ceb7874ee8383341e294139b8230957d78e0a2bf3f977b8e063b','5dec3796e12ca9e5623e41cb145d09e4461ba4c4f646001717478e0b9eabef9d');
INSERT INTO "events" VALUES(18,1795276221749039,'agent.enrolled','agent/clerk','agent/clerk','clerk',NULL,NULL,'{"expires_at":1797868221749039}','8d1fa7c96ba7d506074ff06d6900711eb81f885855acefbd781403ec70b7ced4','7e2d8f2fa74e00646079a53135dcea14cc1df3e808f53410c1ab409d713c07f4');
INSERT INTO "events" VALUES(19,1795276221749039,'run.opened','agent/clerk','run/run_01m7zctb9n176qfk7hyvyefwyc','clerk','run_01m7zctb9n176qfk7hyvyefwyc',NULL,'{"environment":"production","goal":"work","object":null,"on_behalf_of":"customer/ada","version":1}','aaa6be9df9c1711c906a272b48d3f0bd2a4e90083622b2eb2810320c15979df6','3ecd08428e2ec34c1edc41c2493c49c9b47b61b76dddf14908d48d51a3a054da');
INSERT INTO "events" VALUES(20,1795276221749039,'decision.permitted','agent/clerk','decision/dec_01m7zctb9n176qfk7hyxhbwvbz','clerk','run_01m7zctb9n176qfk7hyvyefwyc',NULL,'{"decision":"dec_01m7zctb9n176qfk7hyxhbwvbz","digest":"sha256:74b8cc00b4c8b960751c64d252d66fe3667c1ab2641f1413907a684ac25dc5c6","epoch":0,"kind":"tool","name":"books.lookup_charge","on_behalf_of":"customer/ada","reason":"permitted by policy","rule":"policy/contracts-permit","version":1}','547d0fb2c0f19e4e49fd175c83ae1b3097401b97aa1b5aceced7d046cfdcf541','987215b59225644772832eebd1b36641cdb4d896b64da892e509ca865d271a40');
INSERT INTO "events" VALUES(21,1795276221749039,'outcome.recorded','agent/clerk','decision/dec_01m7zctb9n176qfk7hyxhbwvbz','clerk','run_01m7zctb9n176qfk7hyvyefwyc',NULL,'{"cost_micros":0,"decision":"dec_01m7zctb9n176qfk7hyxhbwvbz","error":null,"input_tokens":0,"name":"books.lookup_charge","output_tokens":0,"result_digest":null,"status":"succeeded"}','22d1b4553d36c101eb9b867c0c128cde223d7edd483808606061ef5d3ee95109','53db1c2c714b950a415b3b96a59af9c359a6433b6e9e09afced701d05958fe7b');
INSERT INTO "events" VALUES(22,1795276221749039,'request.created','agent/clerk','request/req_01m7zctb9n176qfk7hz7xk7as9','clerk','run_01m7zctb9n176qfk7hyvyefwyc','req_01m7zctb9n176qfk7hz7xk7as9','{"asks":"create refund of $250.00 on charge ch_1","decide_by":1795277121749039,"decision":"dec_01m7zctb9n176qfk7hz48vg77a","digest":"sha256:01976abe1d608f41206c0687b3bfaa5d495c2c26da13976e47f3afd03be0489c","epoch":0,"quorum":1,"risk":"high","role":"finance-ops","rule":"policy/refund-over-200","text":"clerk asks finance-ops: create refund of $250.00 on charge ch_1","tool":"books.create_refund"}','d12a031f0b624e56498f219cd24ac1940bc4729df0f624f62440ecca355ea25e','c9aa1f98f8c36fb2f739b244d0df313f8dbad0d52c8f0d914b190b8e9e6d09b8');
INSERT INTO "events" VALUES(23,1795276221749039,'decision.held','agent/clerk','decision/dec_01m7zctb9n176qfk7hz48vg77a','clerk','run_01m7zctb9n176qfk7hyvyefwyc','req_01m7zctb9n176qfk7hz7xk7as9','{"decision":"dec_01m7zctb9n176qfk7hz48vg77a","digest":"sha256:01976abe1d608f41206c0687b3bfaa5d495c2c26da13976e47f3afd03be0489c","epoch":0,"kind":"tool","name":"books.create_refund","on_behalf_of":"customer/ada","reason":"held for finance-ops: A refund of more than $200 needs finance-ops.","rule":"policy/refund-over-200","version":1}','f6a4148187ba387c85fe744a2ee1f2755a5f3f2baccad76c8b1aa4824914ca42','656515a9c828801c7b8880c8ba82e7dd5a32f2e5b7925117ea35cdf017eed548');
INSERT INTO "events" VALUES(24,1795276221749039,'upstream.state','plane','upstream/books',NULL,NULL,NULL,'{"detail":"no connection (Connect call failed (''127.0.0.1'', 9))","state":"down","text":"books is down: no connection (Connect call failed (''127.0.0.1'', 9))"}','14f90f9b06ef8cb18a6e4bba7e488f7f8d9bc20d4ef3cf6a6c6ef37fd1f9680f','ca467b73e11333a8e11473233dffb119d3b64f2af86e9d5b97830965440db584');
INSERT INTO "events" VALUES(25,1795276221749039,'plane.stopped','plane','plane/plane-1',NULL,NULL,NULL,'{}','1aa50fcdb9b1555f70f3f182ff020434fc28d3195c9425571f5b1a39ba87c1b9','dbb57b17b0f901cd63c1fae641844d9688da41b92545d2cec41c0c218a4e54e9');
CREATE TABLE ledger_head (
	id INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	chain_hash TEXT NOT NULL, 
	CONSTRAINT pk_ledger_head PRIMARY KEY (id)
);
INSERT INTO "ledger_head" VALUES(1,25,'dbb57b17b0f901cd63c1fae641844d9688da41b92545d2cec41c0c218a4e54e9');
CREATE TABLE locks (
	lock TEXT NOT NULL, 
	target_kind TEXT NOT NULL, 
	target_name TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	created_at INTEGER NOT NULL, 
	lifted_at INTEGER, 
	lifted_by TEXT, 
	CONSTRAINT pk_locks PRIMARY KEY (lock), 
	CONSTRAINT uq_locks_epoch UNIQUE (epoch)
);
CREATE TABLE person_tokens (
	secret_hash TEXT NOT NULL, 
	person TEXT NOT NULL, 
	permission TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	expires_at INTEGER NOT NULL, 
	revoked_at INTEGER, 
	CONSTRAINT pk_person_tokens PRIMARY KEY (secret_hash)
);
CREATE TABLE receipts (
	lock TEXT NOT NULL, 
	effect TEXT NOT NULL, 
	state TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	at INTEGER NOT NULL, 
	CONSTRAINT pk_receipts PRIMARY KEY (lock, effect)
);
CREATE TABLE request_views (
	request TEXT NOT NULL, 
	person TEXT NOT NULL, 
	at INTEGER NOT NULL, 
	CONSTRAINT pk_request_views PRIMARY KEY (request, person)
);
CREATE TABLE requests (
	request TEXT NOT NULL, 
	state TEXT NOT NULL, 
	decision TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	agent_version INTEGER NOT NULL, 
	run TEXT NOT NULL, 
	on_behalf_of TEXT, 
	tool TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	asks TEXT NOT NULL, 
	risk TEXT NOT NULL, 
	object_kind TEXT, 
	object_id TEXT, 
	amount_micros INTEGER, 
	blast_source TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	quorum INTEGER NOT NULL, 
	approvals INTEGER NOT NULL, 
	levels TEXT NOT NULL, 
	remind_every_seconds INTEGER, 
	timeout_outcome TEXT NOT NULL, 
	grant_seconds INTEGER NOT NULL, 
	excluded TEXT NOT NULL, 
	level INTEGER NOT NULL, 
	level_entered_at INTEGER NOT NULL, 
	reminders INTEGER NOT NULL, 
	role TEXT NOT NULL, 
	asked TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	decide_by INTEGER NOT NULL, 
	next_at INTEGER, 
	decided_by TEXT, 
	decided_at INTEGER, 
	decided_why TEXT, 
	grant_expires_at INTEGER, 
	redeemed_by TEXT, 
	redeemed_at INTEGER, 
	ended_at INTEGER, 
	search TEXT NOT NULL, 
	goal TEXT NOT NULL, 
	canonical TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	changes TEXT NOT NULL, 
	blast_radius TEXT NOT NULL, 
	"rollback" TEXT NOT NULL, 
	rule_text TEXT NOT NULL, 
	explanation TEXT, 
	CONSTRAINT pk_requests PRIMARY KEY (request)
);
INSERT INTO "requests" VALUES('req_01m7zctb9n176qfk7hz7xk7as9','pending','dec_01m7zctb9n176qfk7hz48vg77a','clerk',1,'run_01m7zctb9n176qfk7hyvyefwyc','customer/ada','books.create_refund','sha256:01976abe1d608f41206c0687b3bfaa5d495c2c26da13976e47f3afd03be0489c','create refund of $250.00 on charge ch_1','high','charge','ch_1',250000000,'declared','policy/refund-over-200',0,1,0,'[["finance-ops", 0], ["finance-lead", 300]]',120,'deny',300,'["agent/clerk", "customer/ada"]',1,1795276221749039,0,'finance-ops','["finance-ops"]',1795276221749039,1795277121749039,1795276341749039,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'create refund of $250.00 on charge ch_1 charge ch_1 books.create_refund clerk','work','{"amount_usd":250,"charge_id":"ch_1"}','{"amount_usd":250,"charge_id":"ch_1"}','[]','One charge of one customer.','Refunds cannot be taken back; charge again with the customer''s consent.','A refund of more than $200 needs finance-ops.',NULL);
CREATE TABLE run_tokens (
	secret_hash TEXT NOT NULL, 
	run TEXT NOT NULL, 
	created_at INTEGER NOT NULL, 
	expires_at INTEGER NOT NULL, 
	revoked_at INTEGER, 
	epoch INTEGER NOT NULL, 
	CONSTRAINT pk_run_tokens PRIMARY KEY (secret_hash)
);
INSERT INTO "run_tokens" VALUES('4bea175729ed2e86b698c62d10a5e13ca6df5e78890d4fbd58c23f96eab45e03','run_01m7zctb9n176qfk7hyvyefwyc',1795276221749039,1795277121749039,NULL,0);
CREATE TABLE runs (
	run TEXT NOT NULL, 
	agent TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	goal TEXT NOT NULL, 
	on_behalf_of TEXT, 
	object_kind TEXT, 
	object_id TEXT, 
	environment TEXT NOT NULL, 
	opened_at INTEGER NOT NULL, 
	closed_at INTEGER, 
	summary TEXT, 
	why TEXT, 
	CONSTRAINT pk_runs PRIMARY KEY (run)
);
INSERT INTO "runs" VALUES('run_01m7zctb9n176qfk7hyvyefwyc','clerk',1,'open','work','customer/ada',NULL,NULL,'production',1795276221749039,NULL,NULL,NULL);
CREATE TABLE schema_version (
	id INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	applied_at INTEGER NOT NULL, 
	program TEXT NOT NULL, 
	CONSTRAINT pk_schema_version PRIMARY KEY (id)
);
INSERT INTO "schema_version" VALUES(1,1,1795276221749039,'0.1.0');
CREATE TABLE timers (
	id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	ref TEXT NOT NULL, 
	due_at INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	CONSTRAINT pk_timers PRIMARY KEY (id), 
	CONSTRAINT uq_timers_kind_ref UNIQUE (kind, ref)
);
INSERT INTO "timers" VALUES('tmr_01m7zctb9n176qfk7hz1fcgkcx','budgets.sweep','holds',1795276281749039,0);
INSERT INTO "timers" VALUES('tmr_01m7zctb9n176qfk7hzbhkdm7r','approvals.request','req_01m7zctb9n176qfk7hz7xk7as9',1795276341749039,0);
CREATE TABLE votes (
	request TEXT NOT NULL, 
	person_key TEXT NOT NULL, 
	person TEXT NOT NULL, 
	role TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	reason TEXT, 
	digest TEXT NOT NULL, 
	view_ms INTEGER, 
	at INTEGER NOT NULL, 
	CONSTRAINT pk_votes PRIMARY KEY (request, person_key)
);
CREATE INDEX runs_by_agent ON runs (agent, run);
CREATE INDEX runs_by_state ON runs (state, run);
CREATE INDEX run_tokens_by_run ON run_tokens (run);
CREATE INDEX run_tokens_by_expiry ON run_tokens (expires_at);
CREATE INDEX ix_events_subject_sequence ON events (subject, sequence);
CREATE INDEX ix_events_agent_sequence ON events (agent, sequence);
CREATE INDEX ix_events_run_sequence ON events (run, sequence);
CREATE INDEX ix_events_request_sequence ON events (request, sequence);
CREATE INDEX documents_current ON documents (kind, name, current);
CREATE INDEX ix_requests_pending_by_agent ON requests (agent) WHERE state = 'pending';
CREATE INDEX ix_requests_decided_at_request ON requests (decided_at, request);
CREATE INDEX ix_requests_agent_tool_created_at ON requests (agent, tool, created_at);
CREATE INDEX ix_requests_run_digest ON requests (run, digest);
CREATE INDEX ix_requests_pending ON requests (decide_by, request, role, agent, level, approvals, asked, excluded, search) WHERE state = 'pending';
CREATE UNIQUE INDEX uq_requests_open_action ON requests (run, tool, digest) WHERE state IN ('pending', 'approved');
CREATE INDEX ix_timers_due_at_id ON timers (due_at, id);
CREATE INDEX ix_budget_balances_period_opened_at ON budget_balances (period, opened_at);
CREATE INDEX ix_budget_holds_live ON budget_holds (expires_at) WHERE state = 'live';
CREATE INDEX locks_in_force ON locks (epoch) WHERE lifted_at IS NULL;
CREATE UNIQUE INDEX decisions_by_key ON decisions (run, idempotency_key) WHERE idempotency_key IS NOT NULL AND verdict = 'permit';
CREATE INDEX decisions_by_run ON decisions (run, decision);
CREATE INDEX decisions_by_agent ON decisions (agent, decision);
CREATE INDEX activity_by_bucket ON activity (bucket);
COMMIT;