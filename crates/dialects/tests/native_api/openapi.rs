//! The document: that each row is there and each reference resolves is tested beside the builder, for all dialects.

use dialects::Dialect as _;
use dialects::native::Native;

#[test]
fn the_document_has_what_clients_need() {
    let document = Native.openapi();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"].as_object().unwrap().len(), 2);
    let operations: usize =
        document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
    assert_eq!(operations, Native.endpoints().len());
    for endpoint in Native.endpoints() {
        let entry = &document["paths"][endpoint.path][endpoint.method.as_str().to_ascii_lowercase()];
        let at = format!("{} {}", endpoint.method, endpoint.path);
        assert_ne!(entry["summary"], "", "{at}");
        let responses = entry["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
        for status in ["401", "403", "404", "422", "500"] {
            let content = responses[status]["content"].as_object().unwrap();
            assert!(content.contains_key("application/problem+json"), "{at}: {status}");
        }
        for parameter in entry["parameters"].as_array().unwrap() {
            assert!(
                parameter["description"].as_str().is_some_and(|words| !words.is_empty()),
                "{at}: {parameter}"
            );
        }
    }
}

#[test]
fn one_operation_in_full() {
    let entry = &Native.openapi()["paths"]["/api/v1/agents/{id}"]["patch"];
    insta::assert_snapshot!(serde_json::to_string_pretty(entry).unwrap(), @r##"
    {
      "description": "Needs the right `agents:write`.",
      "operationId": "agent_update",
      "parameters": [
        {
          "description": "The id of the resource.",
          "in": "path",
          "name": "id",
          "required": true,
          "schema": {
            "type": "string"
          }
        },
        {
          "description": "The organization to act for (admin key only).",
          "in": "header",
          "name": "x-organization-id",
          "required": false,
          "schema": {
            "type": "string"
          }
        },
        {
          "description": "The version that is to be changed.",
          "in": "header",
          "name": "if-match",
          "required": false,
          "schema": {
            "type": "string"
          }
        }
      ],
      "requestBody": {
        "content": {
          "application/json": {
            "schema": {
              "$ref": "#/components/schemas/AgentUpdate"
            }
          }
        },
        "required": true
      },
      "responses": {
        "200": {
          "content": {
            "application/json": {
              "schema": {
                "$ref": "#/components/schemas/Agent"
              }
            }
          },
          "description": "As it is now.",
          "headers": {
            "etag": {
              "description": "The resource's version.",
              "schema": {
                "type": "string"
              }
            },
            "x-request-id": {
              "description": "Names the request for the operator.",
              "schema": {
                "type": "string"
              }
            }
          }
        },
        "400": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Bad Request"
        },
        "401": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Unauthorized"
        },
        "402": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Payment Required"
        },
        "403": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Forbidden"
        },
        "404": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Not Found"
        },
        "409": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Conflict"
        },
        "412": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Precondition Failed"
        },
        "413": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Payload Too Large"
        },
        "422": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Unprocessable Entity"
        },
        "429": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Too Many Requests"
        },
        "500": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Internal Server Error"
        },
        "503": {
          "content": {
            "application/problem+json": {
              "schema": {
                "$ref": "#/components/schemas/Problem"
              }
            }
          },
          "description": "Service Unavailable"
        }
      },
      "summary": "Change an agent",
      "tags": [
        "agents"
      ]
    }
    "##);
}

#[test]
fn bodies_as_described() {
    let document = Native.openapi();
    let of = |name: &str| serde_json::to_string_pretty(&document["components"]["schemas"][name]).unwrap();
    insta::assert_snapshot!([of("AgentUpdate"), of("NumberImport"), of("Attempt"), of("KeyCreated")].join("\n"), @r##"
    {
      "additionalProperties": false,
      "description": "A change of an agent.",
      "properties": {
        "description": {
          "description": "What it does; null clears it.",
          "maxLength": 2000,
          "type": [
            "string",
            "null"
          ]
        },
        "name": {
          "description": "A name for people.",
          "maxLength": 100,
          "minLength": 1,
          "type": "string"
        }
      },
      "type": "object"
    }
    {
      "additionalProperties": false,
      "description": "Numbers to bring in on a trunk, with what all of them are to be given.",
      "properties": {
        "agent_id": {
          "description": "Who answers them.",
          "type": [
            "string",
            "null"
          ]
        },
        "endpoint_id": {
          "description": "Where their calls go.",
          "format": "uuid",
          "type": [
            "string",
            "null"
          ]
        },
        "environment": {
          "enum": [
            "sandbox",
            "pre-release",
            "live"
          ],
          "type": "string"
        },
        "label": {
          "description": "A name for people.",
          "type": [
            "string",
            "null"
          ]
        },
        "numbers": {
          "items": {
            "oneOf": [
              {
                "type": "string"
              },
              {
                "$ref": "#/components/schemas/ImportRow"
              }
            ]
          },
          "maxItems": 100000,
          "type": "array"
        },
        "provider_id": {
          "description": "The trunk.",
          "format": "uuid",
          "type": [
            "string",
            "null"
          ]
        }
      },
      "required": [
        "numbers"
      ],
      "type": "object"
    }
    {
      "description": "How one target was tried.",
      "properties": {
        "cause": {
          "description": "Why it ended.",
          "type": "string"
        },
        "ended_at": {
          "description": "When it ended.",
          "format": "date-time",
          "type": "string"
        },
        "hop": {
          "description": "Where it was sent, such as `udp:192.0.2.7:5060`; null where it was not, or where that was taken out of the record.",
          "type": [
            "string",
            "null"
          ]
        },
        "n": {
          "description": "Counts from 0.",
          "format": "int32",
          "minimum": 0,
          "type": "integer"
        },
        "reason": {
          "description": "The `Reason` header of its answer, such as `Q.850;cause=17`.",
          "type": [
            "string",
            "null"
          ]
        },
        "ringing_at": {
          "description": "When it rang first.",
          "format": "date-time",
          "type": [
            "string",
            "null"
          ]
        },
        "sip_status": {
          "description": "The SIP status it answered with, if it did.",
          "format": "int32",
          "minimum": 0,
          "type": [
            "integer",
            "null"
          ]
        },
        "started_at": {
          "description": "When it began.",
          "format": "date-time",
          "type": "string"
        },
        "target": {
          "description": "The target.",
          "type": "string"
        }
      },
      "required": [
        "n",
        "target",
        "sip_status",
        "hop",
        "cause",
        "reason",
        "started_at",
        "ringing_at",
        "ended_at"
      ],
      "type": "object"
    }
    {
      "allOf": [
        {
          "$ref": "#/components/schemas/Key"
        },
        {
          "properties": {
            "key": {
              "description": "The secret. Keep it: it is not stored.",
              "type": "string"
            }
          },
          "required": [
            "key"
          ],
          "type": "object"
        }
      ],
      "description": "A new API key with its secret, which is shown this once."
    }
    "##);
}
