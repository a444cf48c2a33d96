"""The Cedar schema that every policy is validated against."""

from __future__ import annotations

SCHEMA = """
entity Namespace;
entity Team;
entity Agent in [Namespace, Team] {
  name: String,
  team: String,
  autonomy: String,
  tags: Set<String>,
};
entity Tool {
  name: String,
  region: String,
  access: String,
  risk: String,
  tags: Set<String>,
};
entity Model {
  name: String,
  region: String,
  access: String,
  risk: String,
  tags: Set<String>,
};
type Asked = {
  environment: String,
  amount_micros: Long,
  est_tokens: Long,
  approvals: Set<String>,
};
action use_tool appliesTo { principal: [Agent], resource: [Tool], context: Asked };
action call_model appliesTo { principal: [Agent], resource: [Model], context: Asked };
"""
